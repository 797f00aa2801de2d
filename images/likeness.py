"""Compares sets of pictures, such as samples and real pictures, and measures how varied a set is."""

from collections.abc import Iterator

import cv2
import numpy as np

from images.metrics import SMALLEST, ms_ssim

PATCH, PATCHES = 7, 128  # side of a patch in pixels; patches of a picture at each size
DIRECTIONS = 4, 128  # rounds, and projections in a round


def sliced_wasserstein(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance x 1000 between two sets of uint8 pictures [N, H, W, C] at each size: H, H / 2, ... 16 (or H if smaller).

    Karras et al., "Progressive Growing of GANs" (arXiv:1710.10196), section 5: the distance between the distributions
    of small patches in each level of a Laplacian pyramid. Patches and projections are the same in each call. Raises
    ValueError if the sets differ in size, because larger sets have smaller distances.
    """
    if a.shape != b.shape:
        raise ValueError(f"the sets have different shapes, {a.shape} and {b.shape}")
    levels = zip(*(_patches(each, np.random.default_rng(0)) for each in (a, b)), strict=True)
    rng = np.random.default_rng(0)
    rounds, count = DIRECTIONS
    distances = []
    for patches in levels:
        distance = 0.0
        for _ in range(rounds):
            directions = rng.standard_normal((count, patches[0].shape[1])).astype(np.float32)
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            projected_a, projected_b = (np.sort(directions @ each.T) for each in patches)
            distance += float(np.abs(projected_a - projected_b).mean()) / rounds
        distances.append(1000 * distance)
    return np.array(distances)


def _patches(pictures: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Random patches of each size, [N * PATCHES, PATCH * PATCH * C], with mean 0 and deviation 1 in each channel."""
    drawn = [[_drawn(level, rng) for level in _laplacian_pyramid(picture)] for picture in pictures]
    levels = []
    for patches in map(np.concatenate, zip(*drawn, strict=True)):
        deviation = patches.std(axis=(0, 2, 3), keepdims=True)
        patches -= patches.mean(axis=(0, 2, 3), keepdims=True)
        patches /= np.maximum(deviation, 1e-8)
        levels.append(patches.reshape(len(patches), -1))
    return levels


def _laplacian_pyramid(picture: np.ndarray) -> Iterator[np.ndarray]:
    """float32 [H, W, C] of each size: the details lost by halving; finally the smallest picture."""
    level: np.ndarray = picture.astype(np.float32)
    while len(level) >= 2 * SMALLEST:
        halved = cv2.pyrDown(level).reshape(len(level) // 2, len(level) // 2, -1)  # OpenCV drops a single channel
        yield level - cv2.pyrUp(halved).reshape(level.shape)
        level = halved
    yield level


def _drawn(level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[PATCHES, C, PATCH, PATCH]: random patches of [H, W, C]."""
    windows = np.lib.stride_tricks.sliding_window_view(level, (PATCH, PATCH), axis=(0, 1))
    rows, columns = (rng.integers(side - PATCH + 1, size=PATCHES) for side in level.shape[:2])
    return windows[rows, columns]


def alike(pictures: np.ndarray) -> float:
    """Mean MS-SSIM between the first and second half of uint8 pictures [N, H, W, C]; high if they are alike."""
    half = len(pictures) // 2
    return float(ms_ssim(pictures[:half], pictures[half : 2 * half]).mean())


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Fréchet distance between normal distributions fitted to two sets of descriptors [N, D].

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule" (arXiv:1706.08500), equation 6.
    """
    covariance_a, covariance_b = (np.cov(each, rowvar=False) for each in (a, b))
    # The trace of the matrix root is the sum of the eigenvalues' roots. They are real and not negative.
    roots = np.sqrt(np.linalg.eigvals(covariance_a @ covariance_b).real.clip(0))
    apart = a.mean(axis=0) - b.mean(axis=0)
    return float(apart @ apart + np.trace(covariance_a + covariance_b) - 2 * roots.sum())
