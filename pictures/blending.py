"""Blending: the generated picture in the hole, bent so that it meets the known pixels without an edge.

The generated picture is off by a known residual y - G(z) at the known pixels. Blending interpolates this residual into
the hole and adds it to G(z) there. The interpolation r minimises a sum over all pixels, the residual being held at the
known ones:

    poisson: |grad r|^2. With x = G(z) + r this is the paper's equation 6: x has the gradients of G(z).
    tension: |laplace r|^2 + TENSION |grad r|^2, a spline in tension (Smith & Wessel, Geophysics 55, 1990): smooth over
        scattered holes, where the first term rules, and as tame as `poisson` in the depth of large ones.

Nothing is assumed beyond the picture's edge, and no hidden pixel is read.
"""

from functools import lru_cache

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from pictures.incomplete import Incomplete
from pictures.masks import each_mask
from pictures.options import BLENDS

TENSION = 0.3


def blend(generated: np.ndarray, incomplete: Incomplete, kind: str = BLENDS[0]) -> np.ndarray:
    """Completed pictures uint8 [N, H, W, C]: the known pixels as they are, the blended `generated` in the hole.

    generated: uint8 [N, H, W, C]. kind: one of BLENDS; `none` puts `generated` into the hole as it is. A mask without
    a known pixel does so too.
    """
    pictures = incomplete.pictures
    completed = incomplete.filled(generated)
    if kind == "none":
        return completed
    energy = _energy(*pictures.shape[1:3], kind)
    for shared, which in each_mask(incomplete.masks):
        known = shared.ravel()
        hole = ~known
        if not hole.any() or not known.any():
            continue
        solve = splu(energy[hole][:, hole].tocsc()).solve
        from_known = energy[hole][:, known]
        # One picture at a time: the last bit of a product may depend on how many columns it has.
        for i in which:
            x = generated[i].reshape(known.size, -1).astype(float)
            residual = pictures[i].reshape(x.shape)[known] - x[known]
            x[hole] -= solve(from_known @ residual)
            completed[i].reshape(x.shape)[hole] = np.clip(x[hole], 0, 255).round()
    return completed


@lru_cache(maxsize=2)
def _energy(height: int, width: int, kind: str) -> sparse.csr_matrix:
    """The matrix Q of the energy r' Q r, its rows and columns the pixels in their order."""

    def laplacian(n: int) -> sparse.csr_matrix:
        difference = sparse.diags([-1.0, 1.0], [0, 1], (n - 1, n))  # between neighbours, none beyond the ends
        return difference.T @ difference

    laplace = sparse.kronsum(laplacian(width), laplacian(height), format="csr")
    return laplace if kind == "poisson" else (laplace @ laplace + TENSION * laplace).tocsr()
