"""The search for z: where it starts, and how each approach gets from one point to the next.

An approach is a generator: it starts at z [batch, z_dim] and yields a Point at first and after each iteration. The
pictures of a batch are searched side by side and do not influence each other.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from dcgan.devices import filled_parts
from dcgan.options import RATES, SearchOptions
from dcgan.search_loss import Measure
from dcgan.spaces import Cube, FeatureMaps, Space, rng_of
from images.incomplete import Face, Incomplete
from kernels.tensorflow import tf

MEMORY = 10  # pairs of steps and gradient changes that lbfgs keeps
LONGEST = 0.5  # lbfgs step in any coordinate


@dataclass(frozen=True)
class Point:
    """A point of a space, for each picture of the batch."""

    z: np.ndarray  # [batch, z_dim]
    losses: np.ndarray  # [batch, 3]: contextual, perceptual and total loss. The total is minimized
    gradient: np.ndarray  # [batch, z_dim], of the total loss
    images: np.ndarray  # uint8 [batch, H, W, c_dim]
    restarts: np.ndarray  # [batch]: how often the search has restarted

    @property
    def loss(self) -> np.ndarray:
        """[batch]: the total loss, infinite where it is not a number."""
        return np.nan_to_num(self.losses[:, 2], nan=np.inf, posinf=np.inf)

    def where(self, chosen: np.ndarray, other: "Point") -> "Point":
        """This point for the `chosen` pictures, bool [batch], and the other for the rest."""

        def pick(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return np.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b)

        return Point(*(pick(a, b) for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True)
class SearchState:
    """A search at its start or after an iteration."""

    z: np.ndarray  # [batch, z_dim] in [-1, 1]; the z found first, while feature maps are searched
    point: Point  # in the space that is searched now


class Objective:
    """The loss over a space, and random restarts where it is not finite."""

    def __init__(self, measure: Measure, space: Space, seed: int, ids: Sequence[Face]):
        """Random numbers follow from `seed` and each picture's id."""
        self.measure, self.space, self.seed, self.ids = measure, space, seed, ids
        self.restarts = np.zeros(len(ids), int)

    def at(self, z: np.ndarray) -> Point:
        """The point of the space nearest to z."""
        z = self.space.project(z)
        return Point(z, *self.measure(self.space, z), self.restarts)

    def with_restarts(self, point: Point) -> tuple[Point, np.ndarray]:
        """Restarts the pictures whose loss is not finite at a random z; returns which, bool [batch, 1]."""
        lost = ~np.isfinite(point.loss)
        if lost.any():
            self.restarts = self.restarts + lost
            draws = zip(self.ids, self.restarts, strict=True)
            random = [self.space.random(self.seed, face, point.z.shape[1], restart) for face, restart in draws]
            point = self.at(np.where(lost[:, None], random, point.z).astype(point.z.dtype))
        return point, lost[:, None]


def search(
    measure: Measure,
    generator: Any,
    strategy: tf.distribute.Strategy,
    incomplete: Incomplete,
    options: SearchOptions,
) -> Iterator[SearchState]:
    """Searches the cube of z for `n_iter` iterations, then the feature maps of the z found for `refine_iter`.

    Yields the state at the start and after each iteration.
    """
    share = 1 / max(incomplete.lowres, 1) ** 2  # penalties are meant for losses over all pixels; block means are fewer
    cube = Cube.of(generator, strategy, incomplete.ids, options, share)
    objective = Objective(measure, cube, options.seed, incomplete.ids)
    for point in SEARCHES[options.approach](objective, first_z(cube, incomplete, options), options):
        yield SearchState(point.z, point)
    if options.refine:
        z, weight = point.z, tf.constant(options.refine_penalty * share)
        around_z = (generator, filled_parts(strategy, z), options.refine, weight)
        maps = strategy.run(FeatureMaps.around, around_z)
        objective = Objective(measure, maps, options.seed, incomplete.ids)
        objective.restarts = point.restarts
        start = np.zeros((len(z), maps.z_dim), np.float32)
        points = lbfgs(objective, start, replace(options, n_iter=options.refine_iter))
        for point in islice(points, 1, None):  # the first has the images of the state before
            yield SearchState(z, point)


def first_z(cube: Cube, incomplete: Incomplete, options: SearchOptions) -> np.ndarray:
    """Where the search starts, [batch, z_dim]: in the middle of the cube, or anywhere as in the post.

    Alternatives start anywhere.
    """
    z = np.zeros((len(incomplete), cube.z_dim))
    for row, face in zip(z, incomplete.ids, strict=True):
        if options.start == "random" or face.attempt:
            row[:] = cube.random(options.seed, face, cube.z_dim)
    return z


def step_size(options: SearchOptions, i: int) -> float:
    """The step size of iteration i, from 0, by `lr_decay`."""
    lr = RATES[options.approach] if options.lr is None else options.lr
    return lr if options.lr_decay == "none" else lr * (1 + math.cos(math.pi * i / options.n_iter)) / 2


def pgd(objective: Objective, z: np.ndarray, options: SearchOptions) -> Iterator[Point]:
    """The post's projected gradient descent with Nesterov momentum; `objective.at` projects."""
    v = np.zeros_like(z)
    for i in range(options.n_iter):
        point, restarted = objective.with_restarts(objective.at(z))
        yield point
        v_prev = np.where(restarted, 0, v)
        v = options.momentum * v_prev - step_size(options, i) * point.gradient
        z = point.z - options.momentum * v_prev + (1 + options.momentum) * v
    yield objective.with_restarts(objective.at(z))[0]


def adam(objective: Objective, z: np.ndarray, options: SearchOptions) -> Iterator[Point]:
    """Kingma & Ba, arXiv:1412.6980, algorithm 1; `objective.at` projects."""
    m = v = np.zeros_like(z)
    t = np.zeros((len(z), 1), int)  # iterations since each picture's search (re)started
    for i in range(options.n_iter):
        point, restarted = objective.with_restarts(objective.at(z))
        yield point
        m, v, t = (np.where(restarted, 0, each) for each in (m, v, t))
        t = t + 1
        m = options.beta1 * m + (1 - options.beta1) * point.gradient
        v = options.beta2 * v + (1 - options.beta2) * point.gradient**2
        m_hat = m / (1 - options.beta1**t)
        v_hat = v / (1 - options.beta2**t)
        z = point.z - step_size(options, i) * m_hat / (np.sqrt(v_hat) + options.eps)
    yield objective.with_restarts(objective.at(z))[0]


def lbfgs(objective: Objective, z: np.ndarray, options: SearchOptions) -> Iterator[Point]:
    """Limited-memory BFGS (Nocedal & Wright, "Numerical Optimization", algorithm 7.4), projected onto the space.

    The loss never rises: a step that does not lower a picture's loss is rejected, and the next one is shorter.
    """
    point, _ = objective.with_restarts(objective.at(z))
    yield point
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    length = np.ones((len(z), 1), z.dtype)
    for _ in range(options.n_iter):
        point, _ = objective.with_restarts(point)
        free = objective.space.free(point.z, point.gradient)  # the projection would undo steps in other coordinates
        if free.all():
            direction = _lbfgs_direction(point.gradient, pairs)
        else:
            direction = _lbfgs_direction(point.gradient * free, [(s * free, y * free) for s, y in pairs]) * free
        proposal = objective.at(point.z + length * direction)
        pairs = [*pairs[1 - MEMORY :], _pair(point, proposal)]  # a rejected step tells about the curvature, too
        better = proposal.loss < point.loss
        length = np.where(better[:, None], np.minimum(1, 2 * length), 0.4 * length)
        point = proposal.where(better, point)
        yield point


def _pair(point: Point, proposal: Point) -> tuple[np.ndarray, np.ndarray]:
    """Step and gradient change from one point to the other; zeros unless the curvature is positive and finite."""
    step, change = proposal.z - point.z, proposal.gradient - point.gradient
    lengths = np.sqrt(_dot(step, step) * _dot(change, change))
    convex = (_dot(step, change) > 1e-8 * lengths) & np.isfinite(point.loss + proposal.loss)[:, None]
    return step * convex, change * convex


def _lbfgs_direction(gradient: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Minus the inverse Hessian times the gradient, estimated from pairs of steps and gradient changes, oldest first.

    Pairs of zeros are ignored. Without a pair, or if that would lead uphill: minus the gradient.
    """
    # The two-loop recursion. `scale` is the inverse Hessian's first estimate, from the newest pair that counts.
    direction = -gradient
    steepness = np.maximum(np.abs(gradient).sum(1, keepdims=True), 1e-12)
    scale, unscaled = 1 / steepness, np.ones(steepness.shape, bool)
    alphas = []
    for step, change in reversed(pairs):
        curvature = _dot(step, change)
        convex = curvature > 0
        if (unscaled & convex).any():
            np.divide(curvature, _dot(change, change), out=scale, where=unscaled & convex)
            unscaled &= ~convex
        rho = np.divide(1, curvature, out=np.zeros_like(curvature), where=convex)
        alphas.append((rho, rho * _dot(step, direction)))
        direction = direction - alphas[-1][1] * change
    direction = scale * direction
    for (step, change), (rho, alpha) in zip(pairs, reversed(alphas), strict=True):
        direction = direction + (alpha - rho * _dot(change, direction)) * step
    downhill = _dot(direction, gradient) < 0
    direction = np.where(downhill, direction, -gradient / steepness)
    return direction * np.minimum(1, LONGEST / np.maximum(np.abs(direction).max(1, keepdims=True), 1e-12))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[batch, 1]: each picture's inner product."""
    return (a * b).sum(axis=1, keepdims=True)


def hmc(objective: Objective, z: np.ndarray, options: SearchOptions) -> Iterator[Point]:
    """Hamiltonian Monte Carlo under the potential hmc_beta * loss (Neal, arXiv:1206.1901, section 3).

    An iteration draws momenta from N(0, 1), takes `hmc_l` leapfrog steps, accepts the result by Metropolis' rule, and
    multiplies hmc_beta by `hmc_anneal`. Steps are projected onto the cube, so samples at its sides are not exact.
    """
    point, _ = objective.with_restarts(objective.at(z))
    yield point
    beta, eps = options.hmc_beta, options.hmc_eps
    for i in range(options.n_iter):
        point, _ = objective.with_restarts(point)
        rngs = [rng_of(options.seed, face, iteration=i + 1) for face in objective.ids]
        momentum = np.stack([rng.standard_normal(z.shape[1]) for rng in rngs])
        energy = beta * point.loss + (momentum**2).sum(axis=1) / 2
        proposal = point
        for _ in range(options.hmc_l):
            momentum = momentum - eps / 2 * beta * proposal.gradient
            proposal = objective.at(proposal.z + eps * momentum)
            momentum = momentum - eps / 2 * beta * proposal.gradient
        proposed_energy = beta * proposal.loss + (momentum**2).sum(axis=1) / 2
        coins = np.array([rng.random() for rng in rngs])
        point = proposal.where(proposed_energy + np.log1p(-coins) < energy, point)
        beta *= options.hmc_anneal
        yield point


SEARCHES = {"lbfgs": lbfgs, "adam": adam, "pgd": pgd, "hmc": hmc}
