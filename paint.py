#!/usr/bin/env python3
"""Opens a page in the browser, where you paint a hole on a photo and complete it.

python paint.py
python paint.py --port 8000 --checkpointDir checkpoints/pretrained
"""

import jobs.interrupts  # noqa: F401 - first, so that Ctrl-C ends in one line from here on
from jobs.command import parse, run
from jobs.paint.arguments import PaintOptions


def main(argv=None) -> None:
    (options,) = parse(__doc__, PaintOptions, argv=argv)
    from jobs.paint.server import paint

    paint(options)


if __name__ == "__main__":
    run(main)
