"""The search of a batch of pictures: where it looks, where it starts, and how one point leads to the next.

Each approach starts at z [batch, z_dim] and yields a Point first, and another after each iteration. It knows the loss
only through an Objective. The batch's pictures are searched side by side and do not influence each other.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from dcgan.devices import filled_parts
from dcgan.options import RATES, SearchOptions
from dcgan.spaces import Cube, FeatureMaps
from dcgan.starts import STARTS, rng_of
from images.incomplete import Face, Incomplete
from kernels.tensorflow import tf

MEMORY = 10  # pairs of steps and gradient changes that lbfgs keeps
LONGEST = 0.5  # of an lbfgs step, in each coordinate

Measure = Callable[[Any, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Of a space and z in it: the losses [batch, 3], the last of which is minimised, and the gradient of that."""


@dataclass(frozen=True)
class Point:
    """Where a search has got to."""

    z: np.ndarray
    """[batch, z_dim], in the space that is searched."""
    losses: np.ndarray
    """[batch, 3]: contextual, perceptual, and the total, which is minimised."""
    gradient: np.ndarray
    """[batch, z_dim], of the total."""
    restarts: np.ndarray
    """[batch]: how often the search has begun anew."""

    @property
    def loss(self) -> np.ndarray:
        """[batch]: the total loss; infinite where it is not a number."""
        return np.nan_to_num(self.losses[:, 2], nan=np.inf, posinf=np.inf)

    def where(self, chosen: np.ndarray, other: "Point") -> "Point":
        """This point for the `chosen` pictures, bool [batch], and the other for the rest."""

        def pick(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return np.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b)

        return Point(*(pick(a, b) for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


class Objective:
    """What the approaches minimise, over a space."""

    def __init__(self, measure: Measure, space: Any, seed: int, ids: Sequence[Face]):
        """Random numbers follow from `seed` and each picture's id."""
        self.measure, self.space, self.seed, self.ids = measure, space, seed, ids
        self.restarts = np.zeros(len(ids), int)

    def at(self, z: np.ndarray) -> Point:
        """The point at z, moved into the space first."""
        z = self.space.project(z)
        return Point(z, *self.measure(self.space, z), self.restarts)

    def renewed(self, point: Point) -> tuple[Point, np.ndarray]:
        """The point, a random one for pictures whose loss is not finite; and which these are, bool [batch]."""
        anew = ~np.isfinite(point.loss)
        if anew.any():
            self.restarts = self.restarts + anew
            draws = zip(self.ids, self.restarts, strict=True)
            random = [self.space.random(self.seed, face, point.z.shape[1], restart) for face, restart in draws]
            point = self.at(np.where(anew[:, None], random, point.z).astype(point.z.dtype))
        return point, anew


def search(
    measure: Measure,
    generator: Any,
    incomplete: Incomplete,
    options: SearchOptions,
    strategy: tf.distribute.Strategy,
) -> Iterator[tuple]:
    """(z, space, point), at first and after each iteration: the z reached, and the Point in the space searched now.

    The cube is searched first, for `n_iter` iterations; then, for `refine_iter`, the feature maps of the z found.
    """
    # The means of blocks are so many times fewer than the pixels that the penalties are meant for.
    share = 1 / max(incomplete.lowres, 1) ** 2
    random_length = math.sqrt(generator.input_shape[1] / 3)  # on average
    length = tf.constant(options.z_length * random_length)
    space: Any = Cube(generator, tf.constant(options.z_penalty * share), length, options.lam > 0)
    objective = Objective(measure, space, options.seed, incomplete.ids)
    first = STARTS[options.start](space, incomplete, options.seed)
    for point in SEARCHES[options.approach](objective, first, options):
        yield point.z, space, point
    if options.refine:
        z = point.z
        weight = tf.constant(options.refine_penalty * share)
        space = strategy.run(FeatureMaps.around, (generator, filled_parts(strategy, z), options.refine, weight))
        objective = Objective(measure, space, options.seed, incomplete.ids)
        objective.restarts = point.restarts
        start = np.zeros((len(z), space.z_dim), np.float32)
        for point in islice(lbfgs(objective, start, replace(options, n_iter=options.refine_iter)), 1, None):
            yield z, space, point


def step_size(options: SearchOptions, i: int) -> float:
    """The step size of iteration i (0 and up), by `lr_decay`."""
    lr = RATES[options.approach] if options.lr is None else options.lr
    return lr if options.lr_decay == "none" else lr * (1 + math.cos(math.pi * i / options.n_iter)) / 2


def adam(objective: Objective, z: np.ndarray, options: SearchOptions) -> Iterator[Point]:
    """Kingma & Ba, arXiv:1412.6980, algorithm 1."""
    m = v = np.zeros_like(z)
    age = np.zeros((len(z), 1), int)  # iterations since each picture's search began
    for i in range(options.n_iter):
        point, anew = objective.renewed(objective.at(z))
        yield point
        going_on = ~anew[:, None]
        age = age * going_on + 1
        m = options.beta1 * m * going_on + (1 - options.beta1) * point.gradient
        v = options.beta2 * v * going_on + (1 - options.beta2) * point.gradient**2
        m_hat = m / (1 - options.beta1**age)
        v_hat = v / (1 - options.beta2**age)
        z = point.z - step_size(options, i) * m_hat / (np.sqrt(v_hat) + options.eps)
    yield objective.renewed(objective.at(z))[0]


def pgd(objective: Objective, z: np.ndarray, options: SearchOptions) -> Iterator[Point]:
    """The post's projected gradient descent with Nesterov momentum."""
    velocity = np.zeros_like(z)
    for i in range(options.n_iter):
        point, anew = objective.renewed(objective.at(z))
        yield point
        previous = velocity * ~anew[:, None]
        velocity = options.momentum * previous - step_size(options, i) * point.gradient
        z = point.z - options.momentum * previous + (1 + options.momentum) * velocity
    yield objective.renewed(objective.at(z))[0]


def lbfgs(objective: Objective, z: np.ndarray, options: SearchOptions) -> Iterator[Point]:
    """Limited-memory BFGS (Nocedal & Wright, "Numerical Optimization", algorithm 7.4), projected onto the space.

    A step that does not lower a picture's loss is not taken, and its next one is shorter: the loss never rises.
    """
    point, _ = objective.renewed(objective.at(z))
    yield point
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    length = np.ones((len(z), 1), z.dtype)
    for _ in range(options.n_iter):
        point, _ = objective.renewed(point)
        free = objective.space.free(point.z, point.gradient)  # what the projection would stop stays out of the step
        direction = _lbfgs_direction(point.gradient * free, [(s * free, y * free) for s, y in pairs]) * free
        proposal = objective.at(point.z + length * direction)
        step, change = proposal.z - point.z, proposal.gradient - point.gradient
        # A rejected step's pair tells of the curvature too; one without positive curvature is void, and so is one that
        # leads from or to a loss that is not finite.
        lengths = np.sqrt(_dot(step, step) * _dot(change, change))
        convex = (_dot(step, change) > 1e-8 * lengths) & np.isfinite(point.loss + proposal.loss)[:, None]
        pairs = [*pairs[1 - MEMORY :], (step * convex, change * convex)]
        better = proposal.loss < point.loss
        length = np.where(better[:, None], np.minimum(1, 2 * length), 0.4 * length)
        point = proposal.where(better, point)
        yield point


def _lbfgs_direction(gradient: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Minus the inverse Hessian, as `pairs` of steps and gradient changes, oldest first, tell it, times the gradient.

    Void pairs are zero. Without a pair, or where that would not lead downhill: against the gradient.
    """
    direction = -gradient
    steepness = np.maximum(np.abs(gradient).sum(1, keepdims=True), 1e-12)
    scale = 1 / steepness
    alphas = []
    for step, change in reversed(pairs):
        curvature = _dot(step, change)
        rho = np.divide(1, curvature, out=np.zeros_like(curvature), where=curvature > 0)
        alphas.append((rho, rho * _dot(step, direction)))
        direction = direction - alphas[-1][1] * change
    for step, change in pairs:
        curvature = _dot(step, change)
        scale = np.divide(curvature, _dot(change, change), out=scale.copy(), where=curvature > 0)
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

    An iteration draws momenta N(0, 1), takes `hmc_l` leapfrog steps, each projected onto the cube, at whose sides the
    samples are therefore not exact, accepts where they lead to by Metropolis' rule, and multiplies hmc_beta by
    `hmc_anneal`.
    """
    point, _ = objective.renewed(objective.at(z))
    yield point
    beta, eps = options.hmc_beta, options.hmc_eps
    for i in range(options.n_iter):
        point, _ = objective.renewed(point)
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
