"""The first z of a search, [batch, z_dim] for the pictures of an Incomplete."""

import numpy as np

from dcgan.spaces import Cube
from images.incomplete import Incomplete
from images.masks import each_mask

FIT_SAMPLES = 1024  # of G(z), to learn the regression from
FIT_RIDGE = 0.1  # penalty, relative to the mean eigenvalue


def zero(space: Cube, incomplete: Incomplete, seed: int) -> np.ndarray:
    """Zeros, the middle of the space."""
    return np.zeros((len(incomplete), space.z_dim))


def random(space: Cube, incomplete: Incomplete, seed: int) -> np.ndarray:
    """Uniform in the cube, as in the post."""
    return np.stack([space.random(seed, face, space.z_dim) for face in incomplete.ids])


def fit(space: Cube, incomplete: Incomplete, seed: int) -> np.ndarray:
    """Predicts z from the known pixels by ridge regression (kernel form), learned from samples of G for each mask."""
    z = np.random.default_rng(seed).uniform(-1, 1, (FIT_SAMPLES, space.z_dim)).astype(np.float32)
    samples = np.concatenate([np.asarray(space.images(part)) for part in np.split(z, FIT_SAMPLES // 64)])
    y = incomplete.pictures.astype(np.float32) / np.float32(127.5) - 1
    first = np.zeros((len(incomplete), space.z_dim))
    for known, which in each_mask(incomplete.masks):
        if not known.any():
            continue
        x = samples[:, known].reshape(FIT_SAMPLES, -1)
        mean = x.mean(axis=0)
        x -= mean
        kernel = x @ x.T
        kernel[np.diag_indices(FIT_SAMPLES)] += FIT_RIDGE * kernel.trace() / FIT_SAMPLES
        weights = np.linalg.solve(kernel, z)
        for i in which:
            first[i] = (y[i][known].ravel() - mean) @ x.T @ weights
    return space.project(first)


STARTS = {"zero": zero, "random": random, "fit": fit}
