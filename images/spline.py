"""The spline in tension of images/blending.py through what is known of large pictures.

Deep in a hole the spline is smooth: pixels there lie between others of a grid, which is the coarser the deeper it lies.
So a hole takes about as many unknowns as its edge has pixels.
"""

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from images.blending import TENSION

DEEP = 4  # times its spacing a grid keeps away from what is known
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def interpolated(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """float64 [n, C]: the spline through the pixels `known`, bool [H, W], of [H, W, C] at the n others, in their order.

    It minimises |laplace r|^2 + TENSION |grad r|^2, nothing being assumed beyond the edge. No hidden value is read.
    Zero if nothing is known.
    """
    hole = ~known
    if hole.all() or not hole.any():
        return np.zeros((hole.sum(), values.shape[2]))
    around = cv2.dilate(hole.astype(np.uint8), CROSS, iterations=2) > 0
    inside = hole[around]
    laplace = _laplacian(around)
    rows = laplace[inside]
    energy = (rows @ laplace + TENSION * rows).tocsc()
    grid = _between(hole)
    given = energy[:, ~inside] @ values[around & known].astype(float)
    solve = splu((grid.T @ energy[:, inside] @ grid).tocsc()).solve
    return grid @ solve(-(grid.T @ given))


def _laplacian(where: np.ndarray) -> sparse.csr_matrix:
    """The sum of differences to the neighbours in the picture, among the pixels `where`, bool [H, W], in their order.

    Whole for those whose neighbours are among them, too.
    """
    number = _numbered(where)
    neighbours = np.zeros(where.shape, np.float32)
    pairs = []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        neighbours[here] += 1
        neighbours[there] += 1
        both = where[here] & where[there]
        pairs.append(np.stack([number[here][both], number[there][both]]))
    a, b = np.concatenate(pairs, axis=1)
    off = sparse.csr_matrix((np.ones(len(a)), (a, b)), (where.sum(),) * 2)
    return (sparse.diags(neighbours[where].astype(float)) - off - off.T).tocsr()


def _numbered(where: np.ndarray) -> np.ndarray:
    """int32 [H, W]: the place of each pixel among those `where`."""
    number = np.full(where.shape, -1, np.int32)
    number[where] = np.arange(where.sum())
    return number


def _between(hole: np.ndarray) -> sparse.csr_matrix:
    """Every pixel of the `hole`, bool [H, W], as a mean of those that stand on its grid."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    y, x = (np.asarray(places, np.int32) for places in np.indices(hole.shape, np.int32))
    kept, grid = hole, sparse.identity(hole.sum(), format="csr")
    step = 1
    while True:
        odd_y, odd_x = y // step % 2, x // step % 2
        dropped = kept & (depth > DEEP * 2 * step) & (odd_y + odd_x > 0)
        dropped[:step] = dropped[-step:] = dropped[:, :step] = dropped[:, -step:] = False
        if not dropped.any():
            return grid
        following = kept & ~dropped
        old, new = _numbered(kept), _numbered(following)
        parts = [(old[following], new[following], np.ones(following.sum()))]
        for sign in (-1, 1):
            for other in (-1, 1):
                at = y[dropped] + sign * step * odd_y[dropped], x[dropped] + other * step * odd_x[dropped]
                parts.append((old[dropped], new[at], np.full(dropped.sum(), 0.25)))
        rows, columns, shares = (np.concatenate(part) for part in zip(*parts, strict=True))
        grid = grid @ sparse.csr_matrix((shares, (rows, columns)), (kept.sum(), following.sum()))
        kept = following
        step *= 2
