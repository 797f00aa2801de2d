#!/usr/bin/env python3
"""Measures how well methods complete faces with holes, or how close a model's samples are to real pictures.

python evaluate.py data/your-test-data/aligned --faces 8 --masks center half --methods default telea
python evaluate.py data/your-test-data/aligned --samples

Measures of completions, each with its standard error:
  psnr, ssim: peak signal-to-noise ratio in dB and structural similarity, over the whole picture
  psnr_hole, ssim_hole: the same in the hole
  sharp: mean gradient in the hole, divided by that of the true picture
  identity: distance between dlib's face descriptors of the completed and the true face; below 0.6 is the same person
  found: share of faces that dlib detects after the completion
  seconds: time per picture
  own_loss: the loss that the method minimizes; compare it only between methods with the same loss

Measures of samples:
  frechet: Frechet distance between dlib's face descriptors of samples and real faces
  found: share of samples in which dlib detects a face
  swd: sliced Wasserstein distance between patches, times 1000, for each size (swd_64, ...) and the mean
  ms_ssim: multi-scale structural similarity (MS-SSIM) between pairs of samples; a higher value means less variety
"""

import jobs.interrupts  # noqa: F401 - first, so that Ctrl-C ends in one line from here on
from dcgan.options import DeviceOptions
from jobs.command import parse, run
from jobs.evaluate.arguments import EvaluateOptions
from jobs.evaluate.methods import METHODS


def main(argv=None) -> None:
    listed = "\n".join(f"  {method.name}: {method.help}" for method in METHODS.values())
    options, devices = parse(f"{__doc__}\nMethods:\n{listed}", EvaluateOptions, DeviceOptions, argv=argv)
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
