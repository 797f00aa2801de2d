#!/usr/bin/env python3
"""Draws samples of a model, walks between them, sums and differences of faces, and the nearest training pictures.

python sample.py --number 24 --columns 6
python sample.py --z sampled/samples.npz --walk 8 --checkpointDir checkpoints/pretrained

A sample is the picture G(z) that the generator G makes of a random vector z. The z are written to a .npz file next to
the picture. --z, --plus and --minus accept this file.
"""

import jobs.interrupts  # noqa: F401 - first, so that Ctrl-C ends in one line from here on
from jobs.arguments import SampleOptions
from jobs.command import parse, run


def main(argv=None) -> None:
    (options,) = parse(__doc__, SampleOptions, argv=argv)
    from jobs.sample import sample

    sample(options)


if __name__ == "__main__":
    run(main)
