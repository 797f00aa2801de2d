"""Blending: the generated picture in the hole, bent so that it meets what is known without an edge.

The generated picture is off by a known residual y - G(z): at the known pixels, and for `lowres` in the mean of each
block. Blending interpolates this residual into the hole and adds it to G(z) there. The interpolation r minimises a sum
over all pixels, being held to what is known of it:

    poisson: |grad r|^2. With x = G(z) + r this is the paper's equation 6: x has the gradients of G(z).
    tension: |laplace r|^2 + TENSION |grad r|^2, a spline in tension (Smith & Wessel, Geophysics 55, 1990): smooth over
        scattered holes, where the first term rules, and as tame as `poisson` in the depth of large ones.

Nothing is assumed beyond the picture's edge, and no hidden pixel is read.
"""

from functools import lru_cache

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from images.incomplete import Incomplete
from images.mask_options import BLENDS
from images.masks import each_mask

TENSION = 0.3
HALVINGS = 60  # of the interval in which a shift is sought; a float has fewer digits


def blend(generated: np.ndarray, incomplete: Incomplete, kind: str = BLENDS[0]) -> np.ndarray:
    """Completed pictures uint8 [N, H, W, C]: the known pixels as they are, the blended `generated` in the hole.

    For `lowres` each block has its known mean, exactly. generated: uint8 [N, H, W, C]. kind: one of BLENDS; `none`
    puts `generated` into the hole as it is. Where nothing is known of a picture, blending does so too.
    """
    pictures, lowres = incomplete.pictures, incomplete.lowres
    completed = incomplete.filled(generated)
    if kind == "none":
        return completed
    height, width = pictures.shape[1:3]
    energy = _energy(height, width, kind)
    blocks = _block_sums(height, width, lowres)
    for shared, which in each_mask(incomplete.masks):
        known = shared.ravel()
        hole = ~known
        if not hole.any() or not (known.any() or lowres):
            continue
        sums = blocks[:, hole]
        sums = sums[sums.getnnz(axis=1) > 0]
        # Lagrange's conditions of the least energy in the hole under what is known of the sums.
        solve = splu(sparse.bmat([[energy[hole][:, hole], sums.T], [sums, None]], format="csc")).solve
        from_known = energy[hole][:, known]
        # One picture at a time: the last bit of a product may depend on how many columns it has.
        for i in which:
            x = generated[i].reshape(known.size, -1).astype(float)
            y = pictures[i].reshape(x.shape)
            residual = y - x
            given = np.concatenate([-(from_known @ residual[known]), sums @ residual[hole]])
            x[hole] += solve(given)[: hole.sum()]
            x = x.reshape(pictures[i].shape)
            low, high = (np.where(shared[..., None], pictures[i], limit) for limit in (0, 255))
            completed[i] = _held(x, low, high, pictures[i], lowres) if lowres else x.clip(low, high).round()
    return completed


def _block_sums(height: int, width: int, side: int) -> sparse.csr_matrix:
    """Each row sums up the pixels of a block of side x side; there is none for side 0."""
    if not side:
        return sparse.csr_matrix((0, height * width))

    def sums(n: int) -> sparse.csr_matrix:
        return sparse.kron(sparse.eye(n // side), np.ones((1, side)))

    return sparse.kron(sums(height), sums(width), format="csr")


def _held(x: np.ndarray, low: np.ndarray, high: np.ndarray, picture: np.ndarray, side: int) -> np.ndarray:
    """x [H, W, C] in whole numbers from `low` to `high`, each block's sum that of the `picture`, exactly."""
    height, width, channels = x.shape

    def blocks(pixels: np.ndarray) -> np.ndarray:
        parts = pixels.reshape(height // side, side, width // side, side, channels)
        return parts.swapaxes(1, 2).reshape(-1, side * side, channels).astype(float)

    x, low, high, total = blocks(x), blocks(low), blocks(high), blocks(picture).sum(axis=1, keepdims=True)
    # What the limits cut off is made up for by all others alike: the sum rises with the shift.
    least, most = (low - x).min(axis=1, keepdims=True), (high - x).max(axis=1, keepdims=True)
    for _ in range(HALVINGS):
        shift = (least + most) / 2
        above = (x + shift).clip(low, high).sum(axis=1, keepdims=True) > total
        least, most = np.where(above, least, shift), np.where(above, shift, most)
    x = (x + shift).clip(low, high)
    whole = np.floor(x)
    # The rest is handed out, one each, where the fractions are largest.
    ranks = (whole - x).argsort(axis=1, kind="stable").argsort(axis=1)
    whole += ranks < total - whole.sum(axis=1, keepdims=True)
    parts = whole.reshape(height // side, width // side, side, side, channels)
    return parts.swapaxes(1, 2).reshape(height, width, channels)


@lru_cache(maxsize=2)
def _energy(height: int, width: int, kind: str) -> sparse.csr_matrix:
    """The matrix Q of the energy r' Q r, its rows and columns the pixels in their order."""

    def laplacian(n: int) -> sparse.csr_matrix:
        difference = sparse.diags([-1.0, 1.0], [0, 1], (n - 1, n))  # between neighbours, none beyond the ends
        return difference.T @ difference

    laplace = sparse.kronsum(laplacian(width), laplacian(height), format="csr")
    return laplace if kind == "poisson" else (laplace @ laplace + TENSION * laplace).tocsr()
