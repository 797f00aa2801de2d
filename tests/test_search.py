"""The searches on losses that are known: quadratics with a minimum inside the cube or beyond it."""

import numpy as np
import pytest
from scipy.optimize import minimize

from dcgan import options
from dcgan.options import SearchOptions
from dcgan.search import SEARCHES, Objective, step_size
from dcgan.spaces import Cube, FeatureMaps
from images.incomplete import Face

RNG = np.random.default_rng(0)
IDS = [Face(0), Face(1), Face(2)]
TARGET = RNG.uniform(-0.8, 0.8, (3, 6))
SCALE = np.array([1, 3, 10, 30, 100, 300.0])


def measured(z, loss, gradient):
    """What a Measure returns: the loss three times, its gradient, and z in place of the images."""
    return np.stack([loss] * 3, axis=1), gradient, z


def bowl(space, z):
    """Half of the scaled squared distance to TARGET; its condition number is 300."""
    return measured(z, (SCALE * (z - TARGET) ** 2).sum(axis=1) / 2, SCALE * (z - TARGET))


def second_of_bowl(space, z):
    """The bowl of the second picture alone."""
    return tuple(values[1:2] for values in bowl(space, z.repeat(3, 0)))


def points(approach, measure=bowl, z=None, ids=IDS, **options):
    z = np.zeros((3, 6)) if z is None else z
    search = SearchOptions(approach, **options)
    objective = Objective(measure, Cube(None, 0.0, 0.0, False), search.seed, ids)
    return list(SEARCHES[approach](objective, z, search))


@pytest.mark.parametrize("approach", SEARCHES)
def test_a_point_at_the_start_and_after_each_iteration(approach):
    found = points(approach, n_iter=4, lr=1e-3, hmc_l=3)
    assert len(found) == 5
    np.testing.assert_array_equal(found[0].z, 0)
    for point in found:
        np.testing.assert_allclose(point.losses, bowl(None, point.z)[0])
        np.testing.assert_array_equal(point.images, point.z)
        assert (point.restarts == 0).all()


@pytest.mark.parametrize(("approach", "options"), [("lbfgs", {}), ("adam", {"lr": 0.1}), ("pgd", {"lr": 1e-3})])
def test_the_minimum_is_found(approach, options):
    n_iter = 40 if approach == "lbfgs" else 2000
    np.testing.assert_allclose(points(approach, n_iter=n_iter, **options)[-1].z, TARGET, atol=1e-3)


def test_lbfgs_never_rises_and_needs_a_fraction_of_adams_iterations():
    losses = np.array([point.loss for point in points("lbfgs", n_iter=30)])
    assert (np.diff(losses, axis=0) <= 0).all()
    assert (losses[-1] < points("adam", n_iter=100, lr=0.1)[-1].loss).all()


@pytest.mark.parametrize("approach", ["lbfgs", "adam", "pgd"])
def test_a_minimum_beyond_the_cube_is_sought_at_its_side(approach):
    def beyond(space, z):
        return measured(z, ((z - 3) ** 2).sum(axis=1), 2 * (z - 3))

    found = points(approach, beyond, n_iter=60, lr=0.1)
    assert all(abs(point.z).max() <= 1 for point in found)
    np.testing.assert_allclose(found[-1].z, 1, atol=1e-6)


def test_a_space_without_bounds_has_its_minimum_found_where_it_is():
    target = np.array([[3.0, 0.2, -3.0, 5.0]])

    def measure(space, z):
        return measured(z, ((z - target) ** 2).sum(axis=1), 2 * (z - target))

    space = FeatureMaps(None, 4, None, None, None)
    *_, found = SEARCHES["lbfgs"](Objective(measure, space, 0, [Face(0)]), np.zeros((1, 4)), SearchOptions(n_iter=60))
    np.testing.assert_allclose(found.z, target, atol=1e-6)


def test_lbfgs_finds_the_bounded_minimum():
    """Correlated quadratics whose minima lie beyond the cube, against SciPy's bounded solver."""
    n, d = 5, 20
    factors = RNG.standard_normal((n, d, d))
    hessian = factors @ factors.swapaxes(1, 2) + 0.1 * np.eye(d)
    centre = RNG.standard_normal((n, d)) * 2

    def measure(space, z):
        gradient = np.einsum("nij,nj->ni", hessian, z - centre)
        return measured(z, ((z - centre) * gradient).sum(axis=1) / 2, gradient)

    found = points("lbfgs", measure, np.zeros((n, d)), [*map(Face, range(n))], n_iter=150)[-1]
    for i in range(n):
        best = minimize(
            lambda z, i=i: ((z - centre[i]) @ hessian[i] @ (z - centre[i]) / 2, hessian[i] @ (z - centre[i])),
            np.zeros(d),
            jac=True,
            bounds=[(-1, 1)] * d,
        )
        assert found.loss[i] == pytest.approx(best.fun, rel=1e-4)


def test_lbfgs_first_steps_by_hand():
    """Against the gradient, of length 1 in the sum of its parts or 0.5 in the largest; then the BFGS step."""
    z0, z1, z2 = (point.z for point in points("lbfgs", n_iter=2))
    gradient = SCALE * (z0 - TARGET)
    step = -gradient / abs(gradient).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(z1, z0 + step * np.minimum(1, 0.5 / abs(step).max(axis=1, keepdims=True)))
    s, y = z1 - z0, SCALE * (z1 - z0)
    g = SCALE * (z1 - TARGET)
    for i in range(3):  # the inverse Hessian of the BFGS formula, multiplied out
        rho = 1 / (s[i] @ y[i])
        left = np.eye(6) - rho * np.outer(s[i], y[i])
        inverse = left @ (np.eye(6) * (s[i] @ y[i]) / (y[i] @ y[i])) @ left.T + rho * np.outer(s[i], s[i])
        step = -inverse @ g[i]
        expected = z1[i] + step * min(1, 0.5 / abs(step).max())
        there, here = (bowl(None, z)[0][i, 2] for z in (np.where(np.arange(3)[:, None] == i, expected, z1), z1))
        better = there < here
        np.testing.assert_allclose(z2[i], expected if better else z1[i], atol=1e-9)


def test_the_step_size_falls_along_half_a_cosine():
    assert step_size(SearchOptions("adam"), 0) == 0.1 and step_size(SearchOptions("pgd"), 0) == 0.001
    options = SearchOptions(lr=0.2, n_iter=8)
    assert [step_size(options, i) for i in (0, 4, 8)] == pytest.approx([0.2, 0.1, 0])
    assert step_size(SearchOptions(lr=0.2, lr_decay="none"), 7) == 0.2


def test_hmc_samples_the_distribution_of_its_potential():
    """exp(-beta loss) of a bowl is normal: mean and variance of many samples."""
    n, beta, stiff = 64, 2.0, 50.0

    def measure(space, z):
        return measured(z, stiff * ((z - 0.2) ** 2).sum(axis=1) / 2, stiff * (z - 0.2))

    options = {"n_iter": 150, "hmc_beta": beta, "hmc_eps": 0.05, "hmc_l": 8}
    samples = np.stack([p.z for p in points("hmc", measure, np.zeros((n, 2)), [*map(Face, range(n))], **options)])[30:]
    assert samples.mean() == pytest.approx(0.2, abs=0.01)
    assert samples.var() == pytest.approx(1 / (beta * stiff), rel=0.1)


def test_hmc_by_hand():
    options = {"n_iter": 1, "hmc_beta": 0.2, "hmc_eps": 0.001, "hmc_l": 3, "seed": 4}
    z = np.full((1, 6), 0.1)
    _, end = points("hmc", second_of_bowl, z, [Face(7)], **options)
    momentum = np.random.default_rng([4, 7, 0, 1]).standard_normal(6)
    x = z[0]
    for _ in range(3):
        momentum = momentum - 0.0005 * 0.2 * SCALE * (x - TARGET[1])
        x = x + 0.001 * momentum
        momentum = momentum - 0.0005 * 0.2 * SCALE * (x - TARGET[1])
    np.testing.assert_allclose(end.z[0], x)


def test_hmc_anneals():
    """With a beta that vanishes nothing pulls any more: the momenta alone move z, however steep the loss."""
    steep = {"n_iter": 2, "hmc_beta": 1.0, "hmc_anneal": 1e-9, "hmc_l": 1, "hmc_eps": 0.01}
    z1, z2 = (point.z for point in points("hmc", **steep)[1:])
    momenta = np.stack([np.random.default_rng([0, number, 0, 2]).standard_normal(6) for number in range(3)])
    np.testing.assert_allclose(z2, np.clip(z1 + 0.01 * momenta, -1, 1), atol=1e-6)


@pytest.mark.parametrize("approach", SEARCHES)
def test_pictures_do_not_influence_each_other(approach):
    options = {"n_iter": 6, "lr": 1e-3, "hmc_l": 4}
    together = points(approach, **options)[-1].z
    alone = points(approach, second_of_bowl, np.zeros((1, 6)), [Face(1)], **options)[-1].z
    np.testing.assert_array_equal(alone[0], together[1])


@pytest.mark.parametrize("approach", ["lbfgs", "hmc"])
def test_a_step_to_a_loss_that_is_nan_is_rejected(approach):
    def cliff(space, z):
        losses, *others = bowl(space, z)
        return np.where(z[:, :1] != 0, np.nan, losses), *others

    end = points(approach, cliff, n_iter=3, hmc_l=2)[-1]
    np.testing.assert_array_equal(end.z, 0)
    assert (end.restarts == 0).all()


def spoilt_start(space, z):
    """The bowl, but for the first picture, whose loss is no number at its first z, and the third, where it never is."""
    losses, *others = bowl(space, z)
    spoilt = np.array([[(z[0] == 0).all()], [False], [True]])
    return np.where(spoilt, [np.nan, np.inf, np.nan], losses), *others


@pytest.mark.parametrize("approach", SEARCHES)
def test_a_search_without_a_finite_loss_restarts(approach):
    options = {"n_iter": 3, "lr": 1e-3, "hmc_l": 2}
    found = points(approach, spoilt_start, ids=[Face(5), Face(6), Face(7)], seed=2, **options)
    np.testing.assert_array_equal(
        found[0].z, [Cube.random(2, Face(5), 6, 1), np.zeros(6), Cube.random(2, Face(7), 6, 1)]
    )
    assert [point.restarts.tolist() for point in found[:3]] == [[1, 0, n] for n in (1, 2, 3)]  # the third in vain
    assert np.isfinite(found[-1].losses[:2]).all() and not np.isfinite(found[-1].loss[2])
    undisturbed = points(approach, ids=[Face(5), Face(6), Face(7)], seed=2, **options)
    np.testing.assert_array_equal(found[-1].z[1], undisturbed[-1].z[1])


@pytest.mark.parametrize("approach", ["adam", "pgd"])
def test_a_restart_has_no_momentum(approach):
    """From its second point, where the loss is no number, the first search moves as one that starts there."""
    calls = 0

    def spoilt_once(space, z):
        nonlocal calls
        calls += 1
        losses, *others = bowl(space, z)
        return np.where(calls == 2, np.array([[np.nan], [1], [1]]), 1) * losses, *others

    options = {"lr": 1e-3, "lr_decay": "none", "beta1": 0.0, "beta2": 0.0}
    _, second, third = points(approach, spoilt_once, n_iter=2, **options)
    assert second.restarts.tolist() == [1, 0, 0]
    np.testing.assert_array_equal(second.z[0], Cube.random(0, Face(0), 6, 1))
    fresh = points(approach, z=second.z, n_iter=1, **options)[-1]
    np.testing.assert_allclose(third.z[0], fresh.z[0], rtol=1e-12)


def test_a_finite_loss_does_not_restart():
    objective = Objective(bowl, Cube(None, 0.0, 0.0, False), 0, IDS)
    point = objective.at(np.full((3, 6), 7.0))
    np.testing.assert_array_equal(point.z, 1)  # moved into the cube
    same, restarted = objective.with_restarts(point)
    assert same is point and not restarted.any()


def test_there_is_a_function_for_each_name():
    assert tuple(SEARCHES) == options.APPROACHES
