"""How like one set of pictures is to another: what G makes, to real pictures; and how alike a set's pictures are."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

PATCH, PATCHES = 7, 128  # pixels of a patch's side; patches of a picture, at each size
DIRECTIONS = 4, 128  # rounds of projections, and projections a round
SMALLEST = 16  # pixels: the side of the pyramid's top


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, seed: int = 0) -> np.ndarray:
    """Distance x 1000 of two sets of uint8 pictures [N, H, W, C] at each size: H, H / 2, ... 16 (or H where smaller).

    Karras et al., "Progressive Growing of GANs" (arXiv:1710.10196), section 5: how far the distributions of small
    patches lie apart, in each level of a Laplacian pyramid. Patches and projections follow from `seed`. ValueError if
    the sets differ in size: the distance falls with it.
    """
    if a.shape != b.shape:
        raise ValueError(f"{a.shape} and {b.shape}: not two sets of as many pictures of one kind")
    rng = np.random.default_rng(seed)
    distances = []
    for levels in zip(_laplacian_pyramid(a), _laplacian_pyramid(b), strict=True):
        patches_a, patches_b = (_patches(level, rng) for level in levels)
        rounds, count = DIRECTIONS
        distance = 0.0
        for _ in range(rounds):
            directions = rng.standard_normal((count, patches_a.shape[1])).astype(np.float32)
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            projected_a, projected_b = (np.sort(directions @ patches.T) for patches in (patches_a, patches_b))
            distance += float(np.abs(projected_a - projected_b).mean()) / rounds
        distances.append(1000 * distance)
    return np.array(distances)


def _laplacian_pyramid(pictures: np.ndarray) -> Iterator[np.ndarray]:
    """float32 [N, H, W, C] of each size: what is lost by halving, and at last what is left."""
    level = pictures.astype(np.float32)
    while level.shape[1] >= 2 * SMALLEST:
        halved = _each(cv2.pyrDown, level)
        yield level - _each(cv2.pyrUp, halved)
        level = halved
    yield level


def _each(function: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray) -> np.ndarray:
    resized = np.stack([function(picture) for picture in pictures])
    return resized.reshape(*resized.shape[:3], -1)  # OpenCV drops a single channel


def _patches(level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[N * PATCHES, PATCH * PATCH * C] of [N, H, W, C]: random patches, each channel of mean 0 and deviation 1."""
    n, height, width = level.shape[:3]
    windows = np.lib.stride_tricks.sliding_window_view(level, (PATCH, PATCH), axis=(1, 2))
    rows, columns = (rng.integers(side - PATCH + 1, size=n * PATCHES) for side in (height, width))
    patches = windows[np.repeat(np.arange(n), PATCHES), rows, columns]  # [N * PATCHES, C, PATCH, PATCH]
    deviation = patches.std(axis=(0, 2, 3), keepdims=True)
    patches = (patches - patches.mean(axis=(0, 2, 3), keepdims=True)) / np.maximum(deviation, 1e-8)
    return patches.reshape(len(patches), -1)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Fréchet distance of two sets of descriptors [N, D], as of normal distributions.

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule" (arXiv:1706.08500), equation 6.
    """
    covariance_a, covariance_b = (np.cov(each, rowvar=False) for each in (a, b))
    # The trace of a product's root is the sum of its eigenvalues' roots, and these are real and not negative.
    roots = np.sqrt(np.linalg.eigvals(covariance_a @ covariance_b).real.clip(0))
    apart = a.mean(axis=0) - b.mean(axis=0)
    return float(apart @ apart + np.trace(covariance_a + covariance_b) - 2 * roots.sum())
