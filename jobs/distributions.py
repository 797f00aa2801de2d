"""The post's plots of simple distributions."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import multivariate_normal, norm

from outputs import Outputs
from utils import say

PLOTS = ("normal-pdf.png", "normal-samples.png", "normal-2d.png", "normal-2d-max.png")


def draw(out: Path) -> None:
    """Writes the four plots into `out`. UserError if a foreign file has the name of a plot."""
    outputs = Outputs(out, "--outDir")
    outputs.check(*PLOTS)
    for name, figure in zip(PLOTS, figures(), strict=True):
        outputs.write(name, partial(figure.savefig, bbox_inches="tight"))
        say(out / name)


def figures() -> Iterator[Figure]:
    """Yields the figures in the order of PLOTS."""
    rng = np.random.default_rng(0)
    x = np.linspace(-3, 3, 601)

    figure = Figure()
    axes = figure.subplots()
    axes.plot(x, norm.pdf(x))
    axes.set(title="Density of the normal distribution", xlabel="x", ylabel="p(x)")
    yield figure

    figure = Figure(figsize=(7, 3))
    axes = figure.subplots()
    axes.scatter(rng.standard_normal(35), np.zeros(35), color="k")
    axes.set(title="35 samples of the normal distribution", xlabel="x", xlim=(-3, 3))
    axes.yaxis.set_visible(False)
    yield figure

    figure, axes = contours(x, "Density of the 2-D normal distribution, and 200 samples of it")
    x_samples, y_samples = rng.standard_normal((2, 200))
    axes.scatter(x_samples, y_samples, color="k", s=9)
    axes.set(xlim=(-3, 3), ylim=(-3, 3))
    yield figure

    # Given x = 1, the density along the line is highest where the line touches the innermost contour, at y = 0.
    figure, axes = contours(x, "The most probable y given x = 1")
    axes.axvline(1, color="k", linestyle="--")
    on_line = multivariate_normal.pdf(np.stack([np.ones_like(x), x], axis=-1), mean=[0, 0])
    axes.scatter([1], [x[on_line.argmax()]], color="r", zorder=3)
    axes.set(xlim=(-3, 3), ylim=(-3, 3))
    yield figure


def contours(x: np.ndarray, title: str) -> tuple[Figure, Axes]:
    """A figure with the contours of the 2-D normal distribution over the square of `x`, and its axes."""
    figure = Figure()
    axes = figure.subplots()
    points = np.stack(np.meshgrid(x, x), axis=-1)
    axes.contour(x, x, multivariate_normal.pdf(points, mean=[0, 0]))
    axes.set(title=title, xlabel="x", ylabel="y", aspect="equal")
    return figure, axes
