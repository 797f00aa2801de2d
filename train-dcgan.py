#!/usr/bin/env python3
"""Trains a DCGAN on a folder of pictures, such as the faces that align.py wrote.

  python train-dcgan.py --dataset data/your-dataset/aligned --epoch 25
  python train-dcgan.py --dataset digits --c_dim 1 --checkpoint_dir d/model --sample_dir d/samples --log_dir d/logs

The same command again goes on where the run stopped. Watch it: tensorboard --logdir logs
"""

import signal
from pathlib import Path
from typing import Any

from cli import Parser, UserError, image_size, number, options_of, run
from options import TrainOptions
from utils import find_pictures, load_pictures


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
    parser.add_argument("--image_size", type=image_size, default=64, help="side of the pictures, a power of two")
    parser.add_argument("--c_dim", type=int, choices=[3, 1], default=3, help="channels: 3 colour, 1 grey")
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
    parser.add_argument(
        "--seed", type=number(int, 0, 2**31 - 1), default=TrainOptions.seed, help="the same seed gives the same run"
    )
    return parser.parse_args()


def open_model(args: Any) -> tuple[Any, bool]:
    """The DCGAN to train, and whether it goes on from a run in --checkpoint_dir.

    UserError if the model is of another size, or if a new run would write over the losses of another.
    """
    from model import DCGAN

    resumed = (args.checkpoint_dir / "checkpoint").exists()
    source = args.checkpoint_dir if resumed else args.init
    dcgan = DCGAN.load(source) if source else DCGAN(args.image_size, args.c_dim, seed=args.seed)
    if (dcgan.image_size, dcgan.c_dim) != (args.image_size, args.c_dim):
        raise UserError(
            f"the model in {source} has --image_size {dcgan.image_size} --c_dim {dcgan.c_dim}, not {args.image_size} "
            f"and {args.c_dim}: name those, or another --{'checkpoint_dir' if resumed else 'init'}"
        )
    if resumed:
        dcgan.resume(source)
        print(f"resumed from {source} at step {int(dcgan.step)}" + (", so --init is left aside" if args.init else ""))
    else:
        losses = args.log_dir / "losses.csv"
        if losses.exists():
            raise UserError(f"{losses} is another run's, and {args.checkpoint_dir} is not: name another --log_dir")
        dcgan.start_training()
        dcgan.step.assign(0)
    return dcgan, resumed


def main() -> int:
    args = parse_args()
    options = options_of(args, TrainOptions)
    paths = find_pictures(args.dataset)[: args.train_size]

    from recorder import TrainingRecorder

    dcgan, resumed = open_model(args)
    pictures = load_pictures(paths, args.image_size, args.c_dim)
    steps = options.epochs * (len(pictures) // min(options.batch_size, len(pictures)))
    if int(dcgan.step) >= steps:
        print(f"{options.epochs} epochs are done already; a larger --epoch goes on")
        return 0
    for folder in (args.checkpoint_dir, args.sample_dir, args.log_dir):
        folder.mkdir(parents=True, exist_ok=True)
    if not resumed:
        dcgan.save(args.checkpoint_dir)  # a directory that cannot be written is better found now than in an hour
    recorder = TrainingRecorder(dcgan, args.sample_dir, args.log_dir, args.sample_interval, steps, args.seed)
    stop_signals: list[int] = []
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda received, _: stop_signals.append(received))
    for state in dcgan.train(pictures, options):
        recorder.record(state)
        if stop_signals or state.step == steps or state.step % args.checkpoint_interval == 0:
            recorder.flush()
            dcgan.save(args.checkpoint_dir)
        if stop_signals:
            print(f"stopped at step {state.step}; the same command goes on from there")
            return 128 + stop_signals[0]
    print(f"model: {args.checkpoint_dir}, samples: {args.sample_dir}, losses: {args.log_dir}")
    return 0


if __name__ == "__main__":
    run(main)
