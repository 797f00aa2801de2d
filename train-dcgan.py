#!/usr/bin/env python3
"""Trains a DCGAN on a folder of pictures, such as the faces that align.py wrote.

  python train-dcgan.py --dataset data/your-dataset/aligned --epoch 25
  python train-dcgan.py --dataset digits --c_dim 1 --checkpoint_dir d/model --sample_dir d/samples --log_dir d/logs

The same command again goes on where the run stopped. Watch it: tensorboard --logdir logs
"""

import signal
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dcgan.options import KEEP, NetworkOptions, TrainOptions
from jobs.command import Parser, drop_output, filters, image_size, number, options_of, run
from pictures.files import find_pictures
from utils import UserError, only_writer


def parse_args():
    parser = Parser(__doc__)
    parser.add_argument(
        "--dataset", type=Path, required=True, metavar="DIR", help="folder of pictures, with its subfolders"
    )
    parser.add_argument(
        "--epoch",
        dest="epochs",
        metavar="N",
        type=number(int, 1),
        default=TrainOptions.epochs,
        help="passes over the pictures in all, those of the run resumed counted",
    )
    parser.add_argument(
        "--learning_rate",
        type=number(float, above=0),
        default=TrainOptions.learning_rate,
        help="Adam's learning rate",
    )
    parser.add_argument("--beta1", type=number(float, 0, below=1), default=TrainOptions.beta1, help="Adam's beta1")
    parser.add_argument("--train_size", type=number(int, 1), metavar="N", help="use only the first N pictures")
    parser.add_argument("--batch_size", type=number(int, 1), default=TrainOptions.batch_size, help="pictures a step")
    parser.add_argument(
        "--image_size", type=image_size, default=NetworkOptions.image_size, help="side of the pictures, a power of two"
    )
    parser.add_argument(
        "--c_dim", type=int, choices=[3, 1], default=NetworkOptions.c_dim, help="channels: 3 colour, 1 grey"
    )
    parser.add_argument("--z_dim", type=number(int, 1), default=NetworkOptions.z_dim, help="length of z")
    parser.add_argument(
        "--gf_dim",
        type=filters,
        default=NetworkOptions.gf_dim,
        help="channels of G's last feature maps, doubled at each step down to 4x4; or of all, from 4x4 up: 512,256,...",
    )
    parser.add_argument(
        "--df_dim", type=filters, default=NetworkOptions.df_dim, help="the same of D, or of all down to 4x4: 64,128,..."
    )
    parser.add_argument("--flip", action="store_true", help="mirror half of the pictures, drawn anew each time")
    parser.add_argument(
        "--ema",
        type=number(float, 0, below=1),
        default=TrainOptions.ema,
        help="decay of the averaged generator, which samples and completions use",
    )
    parser.add_argument(
        "--init", type=Path, metavar="DIR", help="start from the model in DIR instead of random weights"
    )
    parser.add_argument("--checkpoint_dir", type=Path, default="checkpoints", help="where the model is kept")
    parser.add_argument("--sample_dir", type=Path, default="samples", help="where samples are written")
    parser.add_argument("--log_dir", type=Path, default="logs", help="where losses are written, for TensorBoard too")
    parser.add_argument("--sample_interval", type=number(int, 1), default=100, help="steps between two samples")
    parser.add_argument("--checkpoint_interval", type=number(int, 1), default=500, help="steps between checkpoints")
    parser.add_argument("--keep", type=number(int, 1), metavar="N", default=KEEP, help="how many checkpoints stay")
    parser.add_argument(
        "--memory",
        type=number(float, 0),
        metavar="GB",
        help="for decoded pictures; more than fit are decoded each time anew (default: half of what is free)",
    )
    parser.add_argument(
        "--seed", type=number(int, 0, 2**31 - 1), default=TrainOptions.seed, help="the same seed gives the same run"
    )
    args = parser.parse_args()
    try:
        args.networks = options_of(args, NetworkOptions)
    except ValueError as error:
        parser.error(str(error))
    return args


def open_model(args: Any) -> tuple[Any, bool]:
    """The DCGAN to train, and whether it goes on from a run in --checkpoint_dir.

    UserError if the model is of other networks, or if a new run would write over what another wrote.
    """
    from dcgan import checkpoints, tensorflow1
    from model import DCGAN

    wanted = asdict(args.networks)
    if tensorflow1.newest(args.checkpoint_dir):
        raise UserError(f"{args.checkpoint_dir} holds a TensorFlow 1 model: start from it by --init, into another")
    resumed = bool(checkpoints.checkpoints(args.checkpoint_dir))
    source = args.checkpoint_dir if resumed else args.init
    dcgan = DCGAN.load(source, training=resumed) if source else DCGAN(**wanted, seed=args.seed)
    for name, value in asdict(dcgan.options).items():
        if value != wanted[name]:
            has, asked = (",".join(map(str, v)) if isinstance(v, tuple) else v for v in (value, wanted[name]))
            raise UserError(
                f"the model in {source} has --{name} {has}, not {asked}: name that, or another "
                f"--{'checkpoint_dir' if resumed else 'init'}"
            )
    if resumed:
        print(f"resumed from {source} at step {int(dcgan.step)}" + (", so --init is left aside" if args.init else ""))
    else:
        losses = args.log_dir / "losses.csv"
        if losses.exists():
            raise UserError(f"{losses} is another run's, and {args.checkpoint_dir} is not: name another --log_dir")
        dcgan.step.assign(0)
    return dcgan, resumed


def train(args: Any, paths: Sequence[Path]) -> int:
    """Opens the model and trains it on the pictures; the exit code."""
    options = options_of(args, TrainOptions)

    from jobs.training_log import TrainingRecorder
    from pictures.dataset import Dataset, free_memory

    dcgan, resumed = open_model(args)
    memory = free_memory() / 2 if args.memory is None else args.memory * 1e9
    pictures = Dataset(paths, args.image_size, args.c_dim, memory)
    steps = options.epochs * (len(pictures) // min(options.batch_size, len(pictures)))
    if int(dcgan.step) >= steps:
        print(f"{options.epochs} epochs of {steps // options.epochs} steps are done already; a larger --epoch goes on")
        return 0
    pictures[[0]]  # if none can be read, nothing is begun
    for folder in (args.sample_dir, args.log_dir):
        folder.mkdir(parents=True, exist_ok=True)
    if not resumed:
        dcgan.start_training()
        dcgan.save(args.checkpoint_dir, args.keep)  # what cannot be written is better found now than in an hour
    recorder = TrainingRecorder(dcgan, pictures, args.sample_dir, args.log_dir, args.sample_interval, steps, args.seed)
    stop_signals: list[int] = []
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda received, _: stop_signals.append(received))
    try:
        for state in dcgan.train(pictures, options):
            recorder.record(state)
            if stop_signals or state.step == steps or state.step % args.checkpoint_interval == 0:
                recorder.flush()
                dcgan.save(args.checkpoint_dir, args.keep)
            if stop_signals:
                print(f"stopped at step {state.step}; the same command goes on from there")
                return 128 + stop_signals[0]
    except BrokenPipeError:
        drop_output()
        recorder.flush()
        dcgan.save(args.checkpoint_dir, args.keep)
        raise
    if pictures.left_out:
        print(f"{pictures.left_out} of {len(pictures)} pictures could not be read and were left out")
    print(f"model: {args.checkpoint_dir}, samples: {args.sample_dir}, losses: {args.log_dir}")
    return 0


def main() -> int:
    args = parse_args()
    paths = find_pictures(args.dataset)[: args.train_size]
    with only_writer(args.checkpoint_dir):
        return train(args, paths)


if __name__ == "__main__":
    run(main)
