"""The feature maps in which a search goes on: where they lie, and what going on there brings."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import blobs, lively

from dcgan.options import SearchOptions
from dcgan.spaces import Cube, FeatureMaps
from images.incomplete import Face, Incomplete
from kernels.tensorflow import keras, tf
from ops import to_uint8

OPTIONS = SearchOptions(start="random", n_iter=5, out_interval=0, context_floor=0.0, refine=8, refine_iter=30)
HOLE = np.zeros((16, 16), bool)
HOLE[4:12, 4:12] = True


@pytest.fixture(scope="module")
def dcgan():
    return lively(8, 20)


def last(states):
    return list(states)[-1]


def random_z(n):
    return np.random.default_rng(0).uniform(-1, 1, (n, 100)).astype(np.float32)


@pytest.mark.parametrize(("side", "found"), [(4, 4), (8, 8), (64, 8)])
def test_the_middle_is_the_image_of_z(dcgan, side, found):
    z = random_z(4)
    space = FeatureMaps.around(dcgan.generator, z, side, 0.5)
    assert space.h.shape[1:3] == (found, found) and space.z_dim == found**2 * space.h.shape[3]
    np.testing.assert_allclose(space.images(np.zeros((4, space.z_dim), np.float32)), dcgan.generator(z), atol=1e-6)
    step = np.random.default_rng(1).normal(size=(4, space.z_dim)).astype(np.float32)
    maps = keras.Model(dcgan.generator.inputs[0], dcgan.generator.get_layer(f"g_bn{found // 4 - 1}").output)
    h = np.maximum(maps(z), 0)
    np.testing.assert_allclose(space.h, h, atol=1e-5)
    np.testing.assert_allclose(space.scale[:, 0, 0, 0], abs(h).mean(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(space.penalty(step), 0.5 * (step**2).sum(axis=1), rtol=1e-5)


def test_going_on_there_comes_nearer_to_the_known_pixels(dcgan):
    states = list(dcgan.complete(Incomplete(blobs(3, 16), ~HOLE), OPTIONS))
    assert [state.iteration for state in states] == list(range(36))
    np.testing.assert_array_equal(states[5].z, states[35].z)  # the z found stays
    contextual = np.array([state.losses[:, 0] for state in states])
    assert (contextual[35] < 0.8 * contextual[5]).all()
    total = np.array([state.losses[:, 2] for state in states[6:]])
    assert (np.diff(total, axis=0) <= 0).all()
    without = last(dcgan.complete(Incomplete(blobs(3, 16), ~HOLE), replace(OPTIONS, refine=0)))
    np.testing.assert_array_equal(without.z, states[35].z)
    np.testing.assert_array_equal(without.generated, to_uint8(dcgan.generator(without.z)))


def test_a_high_penalty_leaves_what_z_gives(dcgan):
    options = replace(OPTIONS, refine_penalty=1e9)
    state = last(dcgan.complete(Incomplete(blobs(3, 16), ~HOLE), options))
    np.testing.assert_array_equal(state.generated, to_uint8(dcgan.generator(state.z)))


def test_no_hidden_pixel_is_read_and_no_neighbour_matters(dcgan):
    pictures = blobs(3, 16)
    other = pictures.copy()
    other[:, HOLE] = 77
    results = [last(dcgan.complete(Incomplete(each, ~HOLE), OPTIONS)).generated for each in (pictures, other)]
    np.testing.assert_array_equal(*results)
    alone = last(dcgan.complete(Incomplete(pictures[1:2], ~HOLE, ids=(Face(1),)), OPTIONS))
    assert abs(alone.generated[0].astype(int) - results[0][1]).max() <= 1


def test_random_z():
    faces = [Face(0), Face(1), Face(0, 1)]
    z = np.stack([Cube.random(seed, face, 50, restart) for seed in (0, 1) for face in faces for restart in (0, 1)])
    assert abs(z).max() <= 1 and z.std() == pytest.approx(1 / np.sqrt(3), abs=0.05)
    assert len(np.unique(z, axis=0)) == 12


def test_the_cube():
    z = np.array([[-3, 0.25, 1, 2]])
    np.testing.assert_array_equal(Cube.project(z), [[-1, 0.25, 1, 1]])
    z = np.array([[1.0, 2.0], [0.0, -3.0]])
    np.testing.assert_allclose(Cube(None, 2.0, 0.0, False).penalty(z), [10, 18])
    np.testing.assert_allclose(Cube(None, 2.0, 1.0, False).penalty(z), [2 * (5**0.5 - 1) ** 2, 8])
    assert Cube(lambda z: 2 * z, 0.0, 0.0, False).images(3) == 6


def test_alternatives_differ_and_no_row_depends_on_their_number(dcgan):
    """With 16 rows or more, so that every processor computes each row by the same kernels."""
    incomplete = Incomplete(blobs(16, 16), ~HOLE)
    options = replace(OPTIONS, start="zero", n_iter=10, refine_iter=3, z_penalty=1e3)
    alone = last(dcgan.complete(incomplete, options))
    four = last(dcgan.complete(incomplete.tried(range(4)), options))
    np.testing.assert_array_equal(four.z[:16], alone.z)
    np.testing.assert_array_equal(four.generated[:16], alone.generated)
    for attempts in ([0, 1], [3]):
        some = last(dcgan.complete(incomplete.tried(attempts), options)).generated.reshape(len(attempts), 16, 16, 16, 3)
        for attempt, generated in zip(attempts, some, strict=True):
            np.testing.assert_array_equal(generated, four.generated[16 * attempt :][:16])
    tries = four.generated.reshape(4, 16, 16, 16, 3)[:, :, HOLE].astype(int)
    differences = [abs(tries[i] - tries[j]).mean(axis=(1, 2)).min() for i in range(4) for j in range(i)]
    assert min(differences) > 1
    # The penalty is high, so z has the lengths that are asked for.
    lengths = np.linalg.norm(four.z.reshape(4, 16, 100), axis=2) / (100 / 3) ** 0.5
    expected = [options.z_length_of(attempt) for attempt in range(4)]
    assert expected == sorted(expected) and expected[0] == options.z_length < expected[1]
    np.testing.assert_allclose(lengths[1:].T, np.broadcast_to(expected[1:], (16, 3)), atol=0.03)


def test_a_longer_z_that_is_asked_for_holds_for_alternatives_too():
    assert {SearchOptions(z_length=1.3).z_length_of(attempt) for attempt in range(20)} == {1.3}


def test_the_penalty_of_a_row_does_not_depend_on_the_number_of_rows():
    """To the last bit: TensorFlow's square root has another gradient in a batch of a few rows."""
    z = tf.constant(random_z(32))

    @tf.function
    def gradient(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            total = tf.reduce_sum(Cube(None, 15.0, 2.3, False).penalty(z))
        return tape.gradient(total, z)

    for rows in (1, 3, 4, 8):
        np.testing.assert_array_equal(gradient(z[:rows]), gradient(z)[:rows])


def test_random_z_differ_by_attempt():
    faces = [Face(0), Face(1), Face(0, 1), Face(0, 0, 1), Face(0, 1, 1), Face(0, 0, 2), Face(1, 0, 1)]
    z = np.stack([Cube.random(0, face, 50, restart) for face in faces for restart in (0, 1)])
    assert len(np.unique(z, axis=0)) == 14
