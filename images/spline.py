"""Interpolates into the hole of a large picture by a spline in tension, as images/blending.py does in small ones.

The spline is smooth deep in a hole. So pixels there are interpolated between those of a grid, which gets coarser with
the distance from the known pixels. A hole then takes about as many unknowns as its edge has pixels.
"""

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from images.blending import TENSION, laplacian, numbered

DEEP = 4  # a grid stays at least this many of its spacings away from known pixels
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


class Spline:
    """The spline through known pixels: prepared once for a mask, then called with any values.

    Of all r that have the known values it is the one with the least |laplace r|^2 + TENSION |grad r|^2. Nothing is
    assumed outside of the picture.
    """

    def __init__(self, known: np.ndarray):
        """known: bool [H, W]."""
        hole = ~known
        self.empty = hole.all() or not hole.any()
        self.unknowns = int(hole.sum())
        if self.empty:
            return
        around = cv2.dilate(hole.astype(np.uint8), CROSS, iterations=2) > 0  # all pixels that the energy depends on
        inside = hole[around]
        laplace = laplacian(around)
        self.used, self.grid = around & known, _grid(hole)
        # The energy of r = grid @ u + r_known is |basis @ u + laplace @ r_known|^2 + TENSION |grad r|^2.
        basis = laplace[:, inside] @ self.grid
        basis.eliminate_zeros()  # most are: the grid's functions are linear between its lines
        edge = laplace[:, ~inside]
        self.from_known = basis.T @ edge + TENSION * (self.grid.T @ edge[inside])
        self.solve = splu((basis.T @ basis + TENSION * (self.grid.T @ basis[inside])).tocsc()).solve

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """float64 [n, C]: the spline at the n pixels of the hole, row by row, through `values`, [H, W, C].

        Reads no value in the hole. Zero if no pixel is known.
        """
        if self.empty:
            return np.zeros((self.unknowns, values.shape[2]))
        return self.grid @ self.solve(-(self.from_known @ values[self.used].astype(float)))


def _grid(hole: np.ndarray) -> sparse.csr_matrix:
    """[n, m]: makes the values at all n pixels of the hole, bool [H, W], from those at the m pixels of its grid."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    kept, step, weights = hole, 1, sparse.identity(hole.sum(), format="csr")
    while (dropped := _dropped(kept, depth, step)).any():
        weights = weights @ _coarsening(kept, dropped, step)
        kept = kept & ~dropped
        step *= 2
    return weights


def _dropped(kept: np.ndarray, depth: np.ndarray, step: int) -> np.ndarray:
    """bool [H, W]: which pixels of a grid with spacing `step` are not on the next one, which has twice the spacing.

    A pixel that is not deep enough in the hole stays.
    """
    odd_rows, odd_columns = (np.arange(side) // step % 2 > 0 for side in kept.shape)
    dropped = kept & (depth > DEEP * 2 * step) & np.logical_or.outer(odd_rows, odd_columns)
    dropped[:step] = dropped[-step:] = dropped[:, :step] = dropped[:, -step:] = False
    return dropped


def _coarsening(kept: np.ndarray, dropped: np.ndarray, step: int) -> sparse.csr_matrix:
    """[n, m]: makes the values at the n `kept` pixels from those at the m of them that are not `dropped`.

    A dropped pixel is the mean of the two neighbors on its edge of the coarser grid, or of the four corners.
    """
    following = kept & ~dropped
    old, new = numbered(kept), numbered(following)
    y, x = np.nonzero(dropped)
    off_y, off_x = step * (y // step % 2), step * (x // step % 2)
    parts = [(old[following], new[following], np.ones(following.sum()))]
    for down in (-off_y, off_y):
        for right in (-off_x, off_x):
            parts.append((old[dropped], new[y + down, x + right], np.full(len(y), 0.25)))
    rows, columns, shares = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sparse.csr_matrix((shares, (rows, columns)), (kept.sum(), following.sum()))
