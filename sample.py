#!/usr/bin/env python3
"""Looks into z space: samples of a model, walks between them, arithmetic with faces, and the nearest training faces.

python sample.py --number 24 --columns 6
python sample.py --z sampled/samples.npz --walk 8 --checkpointDir checkpoints/pretrained

Beside each picture lies a .npz file with its z, for --z, --plus and --minus.
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
