#!/usr/bin/env python3
"""Trains a DCGAN on a folder of pictures, such as the faces that align.py wrote.

python train-dcgan.py --dataset data/your-dataset/aligned --epoch 25
python train-dcgan.py --dataset digits --c_dim 1 --checkpoint_dir d/model --sample_dir d/samples --log_dir d/logs

Run the same command again to resume a run. To watch it, run: tensorboard --logdir logs

G is the generator of the DCGAN, D its discriminator, and z the random vector that G turns into a picture. A step
trains on one batch of pictures.
"""

import jobs.interrupts  # noqa: F401 - first, so that Ctrl-C ends in one line
from dcgan.options import DeviceOptions, NetworkOptions, TrainOptions
from jobs.command import parse, run
from jobs.train.arguments import RunOptions


def main(argv=None) -> int | None:
    files, networks, options, devices = parse(
        __doc__, RunOptions, NetworkOptions, TrainOptions, DeviceOptions, argv=argv, models=NetworkOptions
    )
    from jobs.train.job import train

    return train(files, networks, options, devices)


if __name__ == "__main__":
    run(main)
