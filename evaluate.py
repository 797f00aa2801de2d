#!/usr/bin/env python3
"""Measures completions of test faces: the paper's experiment, beside the post's search and classical inpainting.

python evaluate.py data/your-test-data/aligned --faces 8 --masks center half --methods default telea
python evaluate.py data/your-test-data/aligned --samples

PSNR in dB and SSIM are those of the whole picture and of the hole; sharp is the mean gradient in the hole as a share of
the true picture's; identity is the distance of dlib's face descriptors to the true face's, 0 for the same picture and
below 0.6 for the same person; found is the share of faces that dlib finds again. Seconds are those a picture; own_loss
is what the method's own search minimises, and tells nothing between methods that minimise different losses.

Of samples: frechet is the Frechet distance of dlib's descriptors of faces, and found the share in which dlib finds one;
swd is the sliced Wasserstein distance of patches, x 1000, the mean and for each size; ms_ssim how alike pairs are.
"""

import jobs.interrupts  # noqa: F401 - first, so that Ctrl-C ends in one line from here on
from dcgan.options import DeviceOptions
from jobs.command import parse, run
from jobs.evaluate.arguments import METHODS, EvaluateOptions


def main(argv=None) -> None:
    methods = "\n".join(f"  {name}: {what}" for name, what in METHODS.items())
    options, devices = parse(f"{__doc__}\nMethods:\n{methods}", EvaluateOptions, DeviceOptions, argv=argv)
    if options.samples:
        from jobs.evaluate.samples import evaluate_samples

        evaluate_samples(options, devices)
    elif options.photo:
        from jobs.evaluate.whole_photos import evaluate_photos

        evaluate_photos(options, devices)
    else:
        from jobs.evaluate.aligned import evaluate

        evaluate(options, devices)


if __name__ == "__main__":
    run(main)
