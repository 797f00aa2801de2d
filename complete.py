#!/usr/bin/env python3
"""Completes pictures: searches a trained model for what belongs into their holes.

python complete.py --photo portrait.png --maskFile hole.png --outDir completions
python complete.py face.png --maskFile hole.png --outInterval 2 --checkpointDir checkpoints/pretrained
"""

import jobs.interrupts  # noqa: F401 - first, so that Ctrl-C ends in one line from here on
from dcgan.options import DeviceOptions, SearchOptions
from images.mask_options import MaskOptions
from jobs.command import parse, run
from jobs.complete.arguments import CompleteOptions, PhotoOptions


def main(argv=None) -> int | None:
    kinds = CompleteOptions, PhotoOptions, MaskOptions, SearchOptions, DeviceOptions
    files, photos, masks, search, devices = parse(__doc__, *kinds, argv=argv)
    from jobs.complete.job import complete

    return complete(files, photos, masks, search, devices)


if __name__ == "__main__":
    run(main)
