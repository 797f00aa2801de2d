"""What every script does alike on the command line: options, errors, progress."""

import argparse
import dataclasses
import math
import os
import signal
import sys
from collections.abc import Callable

from utils import UserError, one_line


class Parser(argparse.ArgumentParser):
    """argparse with the examples of the module's docstring, every default shown, and errors in one line."""

    def __init__(self, doc: str):
        super().__init__(description=doc, formatter_class=_HelpFormatter)

    def error(self, message: str):
        print(f"error: {message} (see {self.prog} --help)", file=sys.stderr)
        sys.exit(2)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        # "(default: None)" and "(default: False)" tell a reader nothing.
        return action.help if action.default is None or action.default is False else super()._get_help_string(action)


def number(
    kind: type,
    low: float = -sys.float_info.max,
    high: float = sys.float_info.max,
    above: float = -math.inf,
    below: float = math.inf,
) -> Callable:
    """An argparse type: a number of `kind` from `low` to `high`, or `above` and `below` limits it must not touch."""

    def parse(text: str):
        value = kind(text)
        if low <= value <= high and above < value < below:
            return value
        limits = {"at least": low, "at most": high, "above": above, "below": below}
        words = [f"{word} {limit:g}" for word, limit in limits.items() if abs(limit) < sys.float_info.max]
        raise argparse.ArgumentTypeError(f"{text} is not {' and '.join(words)}")

    parse.__name__ = {int: "whole number", float: "number"}[kind]
    return parse


def options_of(args: argparse.Namespace, options: type):
    """The options dataclass filled from the arguments of the same names."""
    return options(**{field.name: getattr(args, field.name) for field in dataclasses.fields(options)})


def image_size(text: str) -> int:
    """An argparse type: a picture's side that the networks can climb to, a power of two from 8 to 256."""
    size = int(text)
    if size not in (8, 16, 32, 64, 128, 256):
        raise argparse.ArgumentTypeError(f"{text} is not a power of two from 8 to 256")
    return size


def filters(text: str) -> int | list[int]:
    """An argparse type: one number of channels, or several parted by commas."""
    dims = [int(dim) for dim in text.split(",")]
    return dims[0] if len(dims) == 1 else dims


def window(text: str) -> int:
    """An argparse type: the side of a window with a pixel in its middle, or 0 for none."""
    side = int(text)
    if side != 0 and not (side % 2 and 3 <= side < 512):
        raise argparse.ArgumentTypeError(f"{text} is neither 0 nor an odd number from 3 to 511")
    return side


def run(main: Callable[[], int]) -> None:
    """Runs a script's `main` and exits with what it returns; what a user can cause ends in one line."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:  # closed by the caller, as `>&-` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            setattr(sys, name, open(descriptor, "w"))  # noqa: SIM115 - until the end
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # any file's name can be printed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # with the same tidying up as after Ctrl-C

    def fail(message: object, code: int = 1) -> None:
        over_progress = "\r\033[K" if sys.stderr.isatty() else ""
        print(f"{over_progress}error: {one_line(message)}", file=sys.stderr)
        sys.exit(code)

    try:
        code = main()
        sys.stdout.flush()
        sys.exit(code)
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except BrokenPipeError:
        drop_output()
        sys.exit(141)
    except MemoryError:
        fail("out of memory: name a smaller batch or smaller pictures")
    except UserError as error:
        fail(error)
    except OSError as error:
        named = f"{error.strerror}: {error.filename}" if error.filename else error.strerror or error
        fail(f"{named}; name a path that can be read and written, on a disk with room")


def drop_output() -> None:
    """After a BrokenPipeError, when who read the output (`| head`) has gone: no more of it, not at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
