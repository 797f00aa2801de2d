"""The post's plots of simple distributions."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import multivariate_normal, norm

from utils import say, write_atomic


def draw(out: Path) -> None:
    """Writes the four plots into `out`."""
    rng = np.random.default_rng(0)

    def save(figure: Figure, name: str) -> None:
        write_atomic(out / name, lambda partial: figure.savefig(partial, bbox_inches="tight"))
        say(out / name)

    figure = Figure()
    x = np.linspace(-3, 3, 601)
    axes = figure.subplots()
    axes.plot(x, norm.pdf(x))
    axes.set(title="Density of the normal distribution", xlabel="x", ylabel="p(x)")
    save(figure, "normal-pdf.png")

    figure = Figure(figsize=(7, 3))
    axes = figure.subplots()
    axes.scatter(rng.standard_normal(35), np.zeros(35), color="k")
    axes.set(title="35 samples of the normal distribution", xlabel="x", xlim=(-3, 3))
    axes.yaxis.set_visible(False)
    save(figure, "normal-samples.png")

    def contours(title: str) -> tuple[Figure, Any]:
        figure = Figure()
        axes = figure.subplots()
        points = np.stack(np.meshgrid(x, x), axis=-1)
        axes.contour(x, x, multivariate_normal.pdf(points, mean=[0, 0]))
        axes.set(title=title, xlabel="x", ylabel="y", aspect="equal")
        return figure, axes

    figure, axes = contours("Density of the 2-D normal distribution, and 200 samples of it")
    axes.scatter(*rng.standard_normal((2, 200)), color="k", s=9)
    axes.set(xlim=(-3, 3), ylim=(-3, 3))
    save(figure, "normal-2d.png")

    # Given x = 1, the density along the line is highest where the line touches the innermost contour: at y = 0.
    figure, axes = contours("The most probable y given x = 1")
    axes.axvline(1, color="k", linestyle="--")
    axes.scatter(
        [1],
        [x[multivariate_normal.pdf(np.stack([np.ones_like(x), x], axis=-1), mean=[0, 0]).argmax()]],
        color="r",
        zorder=3,
    )
    axes.set(xlim=(-3, 3), ylim=(-3, 3))
    save(figure, "normal-2d-max.png")
