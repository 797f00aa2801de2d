#!/usr/bin/env python3
"""Draws the post's plots of simple distributions: densities, samples, and the most probable y for a given x.

python simple-distributions.py
python simple-distributions.py --outDir plots
"""

import jobs.interrupts  # noqa: F401 - first, so that Ctrl-C ends in one line from here on
from jobs.arguments import DistributionsOptions
from jobs.command import parse, run


def main(argv=None) -> None:
    (options,) = parse(__doc__, DistributionsOptions, argv=argv)
    from jobs.distributions import draw

    draw(options.out_dir)


if __name__ == "__main__":
    run(main)
