"""Blending: adjusts the generated picture in the hole so that no edge is visible where it meets the known pixels.

The generated picture is off by the residual y - G(z), which is known at the known pixels and, for `lowres`, as the mean
of each block. Blending interpolates the residual into the hole and adds it to G(z) there. The interpolated residual r
minimizes a sum over all pixels while it keeps its known values:

    poisson: |grad r|^2. So G(z) + r has the gradients of G(z) in the hole: the paper's equation 6.
    tension: |laplace r|^2 + TENSION |grad r|^2, a spline in tension (Smith & Wessel, Geophysics 55, 1990). It is smooth
        over scattered holes, where the first term dominates, and as tame as `poisson` deep in large ones.

Nothing is assumed outside of the picture, and no hidden pixel is read.
"""

from functools import lru_cache

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from images.incomplete import Incomplete
from images.mask_options import BLENDS
from images.masks import each_mask

TENSION = 0.3
HALVINGS = 60  # steps of a bisection; a float has fewer binary digits


def blend(generated: np.ndarray, incomplete: Incomplete, kind: str = BLENDS[0]) -> np.ndarray:
    """Completes the pictures, uint8 [N, H, W, C], with `generated` ones of the same shape, blended into the holes.

    Known pixels stay as they are. For `lowres` each block keeps its mean exactly. kind: one of BLENDS; `none`, and the
    others in a picture without a known pixel, copy the generated pixels into the hole.
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
        # Lagrange multipliers: the least energy in the hole for which the blocks have their known sums.
        solve = splu(sparse.bmat([[energy[hole][:, hole], sums.T], [sums, None]], format="csc")).solve
        from_known = energy[hole][:, known]
        # One picture at a time, because the last bit of a product may depend on its number of columns.
        for i in which:
            x = generated[i].reshape(known.size, -1).astype(float)
            y = pictures[i].reshape(x.shape)
            residual = y - x
            given = np.concatenate([-(from_known @ residual[known]), sums @ residual[hole]])
            x[hole] += solve(given)[: hole.sum()]
            x = x.reshape(pictures[i].shape)
            low, high = (np.where(shared[..., None], pictures[i], limit) for limit in (0, 255))
            completed[i] = _held(x, low, high, pictures[i], lowres) if lowres else x.clip(low, high).round()
    return incomplete.filled(incomplete.toned(completed))


def _block_sums(height: int, width: int, side: int) -> sparse.csr_matrix:
    """[blocks, H * W]: sums up each block of side x side pixels; no rows for side 0."""
    if not side:
        return sparse.csr_matrix((0, height * width))
    rows, columns = (sparse.kron(sparse.eye(n // side), np.ones((1, side))) for n in (height, width))
    return sparse.kron(rows, columns, format="csr")


def _held(x: np.ndarray, low: np.ndarray, high: np.ndarray, picture: np.ndarray, side: int) -> np.ndarray:
    """Rounds and clips x, [H, W, C], to [low, high] so that each block has exactly the sum of the `picture`."""
    height, width, channels = x.shape

    def blocks(pixels: np.ndarray) -> np.ndarray:
        parts = pixels.reshape(height // side, side, width // side, side, channels)
        return parts.swapaxes(1, 2).reshape(-1, side * side, channels).astype(float)

    x, low, high, total = blocks(x), blocks(low), blocks(high), blocks(picture).sum(axis=1, keepdims=True)
    # Shifts all pixels of a block alike to make up for those that are clipped. The sum grows with the shift.
    least, most = (low - x).min(axis=1, keepdims=True), (high - x).max(axis=1, keepdims=True)
    for _ in range(HALVINGS):
        shift = (least + most) / 2
        above = (x + shift).clip(low, high).sum(axis=1, keepdims=True) > total
        least, most = np.where(above, least, shift), np.where(above, shift, most)
    x = (x + shift).clip(low, high)
    whole = np.floor(x)
    # The pixels with the largest fractions are rounded up, as many as the sum needs.
    ranks = (whole - x).argsort(axis=1, kind="stable").argsort(axis=1)
    whole += ranks < total - whole.sum(axis=1, keepdims=True)
    parts = whole.reshape(height // side, width // side, side, side, channels)
    return parts.swapaxes(1, 2).reshape(height, width, channels)


@lru_cache(maxsize=2)
def _energy(height: int, width: int, kind: str) -> sparse.csr_matrix:
    """The matrix Q of the energy r' Q r of all pixels, row by row."""
    laplace = laplacian(np.ones((height, width), bool))
    return laplace if kind == "poisson" else (laplace @ laplace + TENSION * laplace).tocsr()


def laplacian(where: np.ndarray) -> sparse.csr_matrix:
    """Sums of differences from the neighbors in the picture, between the pixels `where`, bool [H, W], row by row.

    Rows of pixels with neighbors outside of `where` are incomplete.
    """
    number = numbered(where)
    neighbors = np.zeros(where.shape, np.float32)
    pairs = []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        neighbors[here] += 1
        neighbors[there] += 1
        both = where[here] & where[there]
        pairs.append(np.stack([number[here][both], number[there][both]]))
    a, b = np.concatenate(pairs, axis=1)
    off = sparse.csr_matrix((np.ones(len(a)), (a, b)), (where.sum(),) * 2)
    return (sparse.diags(neighbors[where].astype(float)) - off - off.T).tocsr()


def numbered(where: np.ndarray) -> np.ndarray:
    """int32 [H, W]: the index of each pixel among those `where`, bool [H, W], row by row; -1 at the others."""
    number = np.full(where.shape, -1, np.int32)
    number[where] = np.arange(where.sum())
    return number
