"""Grain: noise of known spectra around a hole, and what is measured of it in the hole."""

import cv2
import numpy as np
import pytest

from images.grain import add_grain, power, sharp_power, squares

SIDE = 128
HOLE = np.zeros((SIDE, SIDE), bool)
HOLE[40:88, 36:92] = True
BANDS = ((0.15, 0.25), (0.25, 0.35), (0.35, 0.5))  # cycles a pixel


def noise(blur, strength, channels=1, seed=0):
    """[SIDE, SIDE, channels]: Gaussian noise of this standard deviation, blurred by `blur` pixels."""
    white = np.random.default_rng(seed).standard_normal((SIDE, SIDE, channels))
    blurred = white if not blur else cv2.GaussianBlur(white, (0, 0), blur).reshape(white.shape)
    return strength * blurred / blurred.std()


def grainy(around, inside=120, strength=1.0, seed=0):
    """uint8 [SIDE, SIDE, C]: a picture of `around` with a hole of `inside`, after grain was added."""
    pixels = np.where(HOLE[..., None], inside, around).clip(0, 255).round().astype(np.uint8)
    before = pixels.copy()
    add_grain(pixels, ~HOLE, [(np.s_[:SIDE, :SIDE], HOLE)], strength, seed)
    np.testing.assert_array_equal(pixels[~HOLE], before[~HOLE])
    return pixels


def in_bands(pixels, where):
    """[3, C]: the mean power in each of the BANDS."""
    axis = np.fft.fftfreq(16)
    radius = np.hypot(axis[:, None], axis)
    powers = power(squares(pixels, where)).mean(axis=0)
    return np.stack([powers[(radius >= low) & (radius < high)].mean(axis=0) for low, high in BANDS])


@pytest.mark.parametrize(("blur", "channels"), [(0, 1), (0.7, 1), (0, 3), (0.7, 3)])
def test_the_noise_in_the_hole_has_the_spectrum_of_that_around_it(blur, channels):
    around = 120 + noise(blur, 10, channels)
    pixels = grainy(around)
    expected = in_bands(around.clip(0, 255).round().astype(np.uint8), np.ones_like(HOLE))
    np.testing.assert_allclose(in_bands(pixels, HOLE), expected, rtol=0.4)
    assert 0.8 < sharp_power(pixels, HOLE) / sharp_power(pixels, ~HOLE) < 1.25


def test_the_power_of_white_noise_is_its_variance():
    assert sharp_power(noise(0, 7).astype(np.float32), ~HOLE) == pytest.approx(49, rel=0.05)


def test_tints_have_less_noise_if_they_have_less_around_the_hole():
    around = 120 + noise(0, 10).repeat(3, axis=2)
    pixels = grainy(around)
    np.testing.assert_array_equal(pixels.min(axis=2), pixels.max(axis=2))


def test_edges_and_texture_around_the_hole_do_not_count():
    around = 120 + noise(0, 5)
    around[:30] += 60 * (np.arange(SIDE)[:, None] // 7 % 2)  # stripes
    around[:, 100:105] = 250
    assert 0.6 < sharp_power(grainy(around), HOLE) / 25 < 1.5


def test_bright_and_dark_parts_without_noise_do_not_count():
    around = 120 + noise(0, 8)
    around[:, :30] = 2
    around[94:] = 253
    assert 0.7 < sharp_power(grainy(around), HOLE) / 64 < 1.4


def test_a_smooth_picture_stays_as_it_is():
    ramp = np.linspace(60, 180, SIDE)[:, None, None] + np.zeros((SIDE, SIDE, 1))
    changed = grainy(ramp).astype(int) - np.where(HOLE[..., None], 120, ramp.round())
    assert np.abs(changed).max() <= 1


def test_noise_is_left_out_where_the_hole_has_texture():
    texture = 120 + 40 * (np.indices((SIDE, SIDE)).sum(axis=0)[..., None] % 2 * 2 - 1)
    texture[:, 64:] = 120
    changed = np.abs(grainy(120 + noise(0, 6), texture).astype(int) - texture)[..., 0]
    assert changed[44:84, 40:58].mean() < 0.1 and changed[44:84, 70:88].mean() > 3


def test_strength():
    around = 120 + noise(0, 8)
    powers = [sharp_power(grainy(around, strength=strength), HOLE) for strength in (0.5, 1, 2)]
    assert powers[1] / powers[0] == pytest.approx(4, rel=0.2) and powers[2] / powers[1] == pytest.approx(4, rel=0.2)


def test_random_numbers_follow_from_the_seed():
    around = 120 + noise(0, 8)
    first = grainy(around)
    np.testing.assert_array_equal(grainy(around), first)
    assert (grainy(around, seed=1) != first)[HOLE].mean() > 0.5


def test_dots_of_a_coarse_halftone_are_no_noise():
    y, x = np.mgrid[:SIDE, :SIDE]
    dots = 255.0 * (np.cos(np.pi * (x + y) / 3) + np.cos(np.pi * (x - y) / 3) > 0)[..., None]
    assert (grainy(dots)[HOLE] == 120).all()


def test_a_picture_that_is_smaller_than_a_square():
    pixels = np.full((12, 12, 3), 99, np.uint8)
    add_grain(pixels, ~HOLE[36:48, 36:48], [(np.s_[:12, :12], HOLE[36:48, 36:48])], 1, 0)
    assert (pixels == 99).all() and np.isnan(sharp_power(pixels, HOLE[36:48, 36:48]))
