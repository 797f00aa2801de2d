#!/usr/bin/env python3
"""How fast this machine trains and completes, beside the same networks in PyTorch.

python tools/benchmark.py --quick
python tools/benchmark.py --profile --json benchmark.json

Let nothing else run meanwhile. It takes about ten minutes on two cores, or two minutes with --quick. PyTorch, if it is
installed (pip install -r tools/requirements.txt), and TensorFlow take turns, and the best round of each counts. The
peak is that of a product of two large matrices in TensorFlow, there and then.
"""

import argparse
import collections
import contextlib
import importlib.util
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# Multiply-adds x 2 of an image of 64x64 in all convolutions and products, of a training step: D on two batches with all
# gradients, two forward passes of G, and two updates of G through D; and of a search iteration.
STEP, ITERATION = 5.18e9, 0.65e9
PRECISIONS = ("float32", "mixed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds, 8 photos, and no training of other sizes")
    parser.add_argument("--rounds", type=int, default=5, help="of each measurement (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="pictures (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=64, help="channels of G and D (default: %(default)s)")
    parser.add_argument("--photos", type=int, default=32, help="to align and to complete (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--profile", action="store_true", help="what the time of training steps goes into")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.photos = 2, 8
    print(device())
    figures: dict[str, Any] = {"device": device()}
    for precision in PRECISIONS:
        figures[precision] = compare(precision, args)
    if not args.quick:
        sizes, batches = (32, 64, 128), (16, 64, 128)
        figures["training, images/s, by image size"] = {str(side): images_per_second(side, 16, args) for side in sizes}
        figures["training, images/s, by batch"] = {str(count): images_per_second(64, count, args) for count in batches}
        figures |= input_figures(args) | alignment(args.photos)
    figures |= start_up() | completion(args.photos)
    for name, value in figures.items():
        if name not in ("device", *PRECISIONS):
            shown = value if isinstance(value, dict) else {"": value}
            print(f"{name}: " + ", ".join(f"{key} {number:.4g}".strip() for key, number in shown.items()))
    if args.profile:
        for size, batch in ((64, 64), (128, 32)):
            figures[f"profile, {size}x{size}"] = profile(size, batch, args.dim)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


def device() -> str:
    """The name of the GPU, or of the processor where there is none."""
    from kernels.tensorflow import GPUS, tf

    if GPUS:
        return f"{tf.config.experimental.get_device_details(GPUS[0])['device_name']}, beside {processor()}"
    return processor()


def on_gpu() -> bool:
    from kernels.tensorflow import GPUS

    return bool(GPUS)


def side() -> int:
    """Of the matrices whose product shows the peak."""
    return 8192 if on_gpu() else 4096


def at_once() -> int:
    """How often what is measured is done before the device is waited for: a GPU does it in milliseconds."""
    return 50 if on_gpu() else 1


def processor() -> str:
    """Its name, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    numbers = f"family {fields.get('cpu family')}, model {fields.get('model')}"
    return f"{fields.get('model name')} ({numbers}), {sum(line.startswith('processor') for line in lines)} cores"


def best(rounds: int, *runs: Callable[[], Any]) -> list[float]:
    """The fewest seconds that each of the `runs`, which take turns and do it `at_once` times, takes once; when warm."""
    seconds = [float("inf")] * len(runs)
    for turn in range(rounds + 1):
        for i, run in enumerate(runs):
            time.sleep(0.3)  # until the other library's threads sleep
            start = time.perf_counter()
            run()
            if turn:
                seconds[i] = min(seconds[i], (time.perf_counter() - start) / at_once())
    return seconds


def compare(precision: str, args: argparse.Namespace) -> dict[str, float]:
    """Prints and returns the figures of training and search in one precision."""
    rivals = in_torch(precision, args)
    (peak,) = best(args.rounds, product(precision))
    figures = {"peak, GFLOP/s": 2 * side() ** 3 / peak / 1e9}
    print(f"{precision}: peak {figures['peak, GFLOP/s']:.0f} GFLOP/s")
    work = {"training step": (train_step, STEP), "search iteration": (search_iteration, ITERATION)}
    for name, (ours, operations) in work.items():
        run = ours(precision, 64, args.batch, args.dim)
        seconds, *theirs = best(args.rounds, run, *([rivals[name]] if rivals else []))
        share = args.batch * operations * (args.dim / 64) ** 2 / seconds / 1e9 / figures["peak, GFLOP/s"]
        figures |= {f"{name}, seconds": seconds, f"{name}, images/s": args.batch / seconds}
        figures[f"{name}, share of peak"] = share
        line = f"  {name:16} {seconds:.3f} s, {args.batch / seconds:.1f} images/s, {share:.0%} of the peak"
        if theirs:
            figures |= {f"{name}, seconds in PyTorch": theirs[0], f"{name}, ratio": seconds / theirs[0]}
            line += f"; PyTorch {theirs[0]:.3f} s, ratio {seconds / theirs[0]:.2f}"
        print(line)
    return figures


def in_torch(precision: str, args: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """What to compare with, in a process that ends with this one; nothing without PyTorch."""
    if not importlib.util.find_spec("torch"):
        print("no comparison: pip install -r tools/requirements.txt brings PyTorch")
        return {}
    arguments = map(str, ("cuda" if on_gpu() else "cpu", args.batch, args.dim, precision, at_once()))
    command = [sys.executable, str(ROOT / "tools" / "torch_dcgan.py"), *arguments]
    rival = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert rival.stdin and rival.stdout
    asked, answers = rival.stdin, rival.stdout
    if answers.readline() != "ready\n":
        sys.exit("error: PyTorch does not start, see above")

    def run(what: str) -> str:
        asked.write(what + "\n")
        return answers.readline()

    return {
        "training step": lambda: run("train_step"),
        "search iteration": lambda: run("search_iteration"),
    }


def product(precision: str) -> Callable[[], Any]:
    """A product of large matrices."""
    from kernels.tensorflow import tf

    a = tf.cast(tf.random.normal([side(), side()]), tf.bfloat16 if precision == "mixed" else tf.float32)
    run = tf.function(lambda: tf.matmul(a, a)[0, 0])

    def runs() -> None:
        for _ in range(at_once()):
            last = run()
        last.numpy()

    return runs


def train_step(precision: str, size: int, batch: int, dim: int, g_updates: int = 2) -> Callable[[], Any]:
    """A step of a training."""
    from dcgan.options import TrainOptions
    from model import DCGAN

    dcgan = DCGAN(size, gf_dim=dim, df_dim=dim, precision=precision)
    options = TrainOptions(epochs=10**6, batch_size=batch, g_updates=g_updates)
    steps = dcgan.train(noise(10 * batch, size), options, intervals=(at_once(),))
    return lambda: next(state for state in steps if state.step % at_once() == 0).losses.numpy()


def search_iteration(precision: str, size: int, batch: int, dim: int) -> Callable[[], Any]:
    """An iteration of the default search."""
    import numpy as np

    from dcgan.options import SearchOptions
    from images.incomplete import Incomplete
    from model import DCGAN

    dcgan = DCGAN(size, gf_dim=dim, df_dim=dim, precision=precision)
    mask = np.ones((size, size), bool)
    mask[size // 4 : -size // 4, size // 4 : -size // 4] = False
    states = dcgan.complete(Incomplete(noise(batch, size), mask), SearchOptions(n_iter=10**6, out_interval=0))
    return lambda: [next(states) for _ in range(at_once())]


def noise(batch: int, size: int):
    """Pictures."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)


def images_per_second(size: int, batch: int, args: argparse.Namespace) -> float:
    """Of training as it is by default."""
    (seconds,) = best(2, train_step("auto", size, batch, args.dim))
    return batch / seconds


def input_figures(args: argparse.Namespace) -> dict[str, float]:
    """What reading pictures delivers alone, and the share of a training step that waits for it."""
    from PIL import Image

    import model
    from dcgan.options import TrainOptions
    from images.dataset import Dataset

    waited = 0.0
    one_ahead = model.one_ahead

    def timed(*arguments: Any) -> Iterator[Any]:
        nonlocal waited
        items = one_ahead(*arguments)
        while True:
            start = time.perf_counter()
            item = next(items, None)
            waited += time.perf_counter() - start
            if item is None:
                return
            yield item

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{i}.png") for i in range(20 * args.batch)]
        for path, picture in zip(paths, noise(len(paths), 64), strict=True):
            Image.fromarray(picture).save(path)
        pictures = Dataset(paths, 64, 3, memory=0)  # decoded each time
        start = time.perf_counter()
        for first in range(0, len(paths), args.batch):
            pictures[range(first, first + args.batch)]
        delivered = len(paths) / (time.perf_counter() - start)
        dcgan = model.DCGAN(64, gf_dim=args.dim, df_dim=args.dim, precision="auto")
        model.one_ahead = timed  # type: ignore[assignment]
        try:
            for number, state in enumerate(dcgan.train(pictures, TrainOptions(batch_size=args.batch))):
                state.losses.numpy()
                if number == 0:  # compiled; on a GPU it is of ten steps
                    start, waited = time.perf_counter(), 0.0
                elif state.step >= 10:
                    break
        finally:
            model.one_ahead = one_ahead
    share = waited / (time.perf_counter() - start)
    return {"pictures decoded a second": delivered, "share of a step that waits for pictures": share}


def start_up() -> dict[str, dict[str, float]]:
    """Seconds until --help is there, and until README's first command has completed its photo."""
    with tempfile.TemporaryDirectory() as folder:
        demonstration = ["--photo", "data/demo/raw/astronaut.png", "--checkpointDir", "checkpoints/pretrained-128"]
        demonstration += ["--outInterval", "2", "--outDir"]
        return {
            "complete.py --help": seconds_of("complete.py", "--help"),
            "demonstration": seconds_of("complete.py", *demonstration, f"{folder}/{{}}"),
        }


def seconds_of(*command: str) -> dict[str, float]:
    """Of Python, called twice; the second time counts. {} in the last argument: the number of the call."""
    *others, last = command
    for i in range(2):
        start, before = time.perf_counter(), os.times()
        subprocess.run([sys.executable, *others, last.format(i)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"seconds": time.perf_counter() - start, "seconds of CPU time": cpu}


def alignment(photos: int) -> dict[str, float]:
    """Photos a second: the demonstration photo, 512x512, several times."""
    with tempfile.TemporaryDirectory() as folder:
        (raw := Path(folder, "raw")).mkdir()
        for i in range(photos):
            shutil.copy(ROOT / "data" / "demo" / "raw" / "astronaut.png", raw / f"{i}.png")
        align = [str(ROOT / "align.py"), str(raw), "align", "innerEyesAndBottomLip"]
        start = time.perf_counter()
        subprocess.run([sys.executable, *align, str(raw / "out")], check=True, stdout=subprocess.DEVNULL)
        return {"photos of 512x512 aligned a second": photos / (time.perf_counter() - start)}


def completion(photos: int) -> dict[str, Any]:
    """Photos a second from reading to writing: 480x480, each with another part of the face hidden; and the shares."""
    from PIL import Image

    import complete
    from completion.photos import Finish
    from jobs.complete.job import Completion
    from jobs.complete.plan import Plan
    from outputs import Outputs

    seconds: dict[str, float] = collections.defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **named)
            seconds[name] += time.perf_counter() - start
            return result

        return run

    def waiting(missing: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def run(*args: Any) -> Iterator[Any]:
            batches = missing(*args)
            return iter(timed("finding", lambda: next(batches, None)), None)

        return run

    parts = {"searching": (Completion, "complete"), "compositing": (Finish, "__call__"), "writing": (Outputs, "write")}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        (raw := Path(folder, "raw")).mkdir()
        photo = Image.open(ROOT / "data" / "demo" / "raw" / "astronaut.png").convert("RGB")
        for i in range(photos):
            photo.crop((i, i, 480 + i, 480 + i)).save(raw / f"{i}.png")
        mask = Image.new("L", (480, 480), 255)
        mask.paste(0, (180, 110, 230, 150))
        mask.save(Path(folder, "hole.png"))
        for name, (owner, method) in parts.items():
            stack.enter_context(mock.patch.object(owner, method, timed(name, getattr(owner, method))))
        stack.enter_context(mock.patch.object(Plan, "missing", waiting(Plan.missing)))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        arguments = ["--photo", str(raw), "--maskFile", f"{folder}/hole.png", "--outInterval", "0"]
        model = str(ROOT / "checkpoints" / "pretrained-128")
        start = time.perf_counter()
        complete.main([*arguments, "--checkpointDir", model, "--outDir", f"{folder}/out"])
        total = time.perf_counter() - start
    shares = {f"share of {name}": seconds[name] / total for name in ("finding", *parts)}
    return {"photos completed": {"a second": photos / total} | shares}


def profile(size: int, batch: int, dim: int) -> dict[str, float]:
    """Prints and returns the shares of kinds of operations in the time of a training step with one update of G."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    from kernels.tensorflow import tf

    run = train_step("auto", size, batch, dim, g_updates=1)
    run()
    space = xplane_pb2.XSpace()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run()
        (file,) = Path(folder).rglob("*.xplane.pb")
        space.ParseFromString(file.read_bytes())
    kinds: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                operation, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if operation and not operation.endswith(":") and " " not in kind:  # neither C++'s function nor a call
                    kinds[kind] += event.duration_ps
    shares = {kind: time / kinds.total() for kind, time in kinds.most_common(20)}
    print(f"training step, {size}x{size}, batches of {batch}: shares of kinds of operations")
    for kind, share in shares.items():
        print(f"  {share:6.1%} {kind.removeprefix('_MklNative').removeprefix('_Mkl')}")
    return shares


if __name__ == "__main__":
    main()
