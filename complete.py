#!/usr/bin/env python3
"""Fills holes in pictures and photos with pixels that a trained DCGAN generates.

python complete.py --photo portrait.png --maskFile hole.png --outDir completions
python complete.py face.png --maskFile hole.png --outInterval 2 --checkpointDir checkpoints/pretrained

G is the generator of the DCGAN, D its discriminator, and z the random vector that G turns into a picture. The
search looks for the z whose G(z) agrees with the known pixels.
"""

import jobs.interrupts  # noqa: F401 - first, so that Ctrl-C ends in one line from here on
from completion.options import PhotoOptions
from dcgan.options import PRESETS, DeviceOptions, SearchOptions
from images.mask_options import MaskOptions
from jobs.command import parse, run
from jobs.complete.arguments import CompleteOptions


def main(argv=None) -> int | None:
    kinds = CompleteOptions, PhotoOptions, MaskOptions, SearchOptions, DeviceOptions
    listed = "\n".join(f"  {preset.name}: {preset.help}" for preset in PRESETS.values())
    files, photos, masks, search, devices = parse(f"{__doc__}\nPresets:\n{listed}", *kinds, argv=argv, presets=PRESETS)
    from jobs.complete.job import complete

    return complete(files, photos, masks, search, devices)


if __name__ == "__main__":
    run(main)
