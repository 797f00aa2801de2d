#!/usr/bin/env python3
"""Draws the post's plots of simple distributions: samples, and the most probable rest of a point.

python simple-distributions.py
python simple-distributions.py --outDir plots
"""

from pathlib import Path
from typing import Any

import numpy as np

from jobs.command import Parser, run
from utils import write_atomic


def parse_args():
    parser = Parser(__doc__)
    parser.add_argument("--outDir", type=Path, default=Path("."), help="where the four plots are written")
    return parser.parse_args()


def main() -> int:
    args = parse_args()

    from matplotlib.figure import Figure
    from scipy.stats import multivariate_normal, norm

    rng = np.random.default_rng(0)

    def save(figure: Figure, name: str) -> None:
        write_atomic(args.outDir / name, lambda partial: figure.savefig(partial, bbox_inches="tight"))
        print(args.outDir / name)

    figure = Figure()
    x = np.linspace(-3, 3, 601)
    figure.subplots().plot(x, norm.pdf(x))
    save(figure, "normal-pdf.png")

    figure = Figure(figsize=(7, 3))
    axes = figure.subplots()
    axes.scatter(rng.standard_normal(35), np.zeros(35), color="k")
    axes.set_xlim(-3, 3)
    axes.yaxis.set_visible(False)
    save(figure, "normal-samples.png")

    def contours() -> tuple[Figure, Any]:
        figure = Figure()
        axes = figure.subplots()
        points = np.stack(np.meshgrid(x, x), axis=-1)
        axes.contour(x, x, multivariate_normal.pdf(points, mean=[0, 0]))
        axes.set_aspect("equal")
        return figure, axes

    figure, axes = contours()
    axes.scatter(*rng.standard_normal((2, 200)), color="k", s=9)
    axes.set(xlim=(-3, 3), ylim=(-3, 3))
    save(figure, "normal-2d.png")

    # Given x = 1, the density along the line is highest where the line touches the innermost contour: at y = 0.
    figure, axes = contours()
    axes.axvline(1, color="k", linestyle="--")
    axes.scatter(
        [1],
        [x[multivariate_normal.pdf(np.stack([np.ones_like(x), x], axis=-1), mean=[0, 0]).argmax()]],
        color="r",
        zorder=3,
    )
    axes.set(xlim=(-3, 3), ylim=(-3, 3))
    save(figure, "normal-2d-max.png")
    return 0


if __name__ == "__main__":
    run(main)
