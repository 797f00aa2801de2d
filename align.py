#!/usr/bin/env python3
"""Aligns the faces in photos: rotates, scales and crops them as OpenFace does, for training and for completion.

python align.py data/your-dataset/raw align innerEyesAndBottomLip data/your-dataset/aligned --size 64
python align.py photos align outerEyesAndNose faces --size 128 --skipMulti
"""

import jobs.interrupts  # noqa: F401 - first, so that Ctrl-C ends in one line from here on
from jobs.arguments import AlignOptions
from jobs.command import parse, run


def main(argv=None) -> None:
    (options,) = parse(__doc__, AlignOptions, argv=argv)
    from jobs.align import align

    align(options)


if __name__ == "__main__":
    run(main)
