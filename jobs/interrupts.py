"""Ctrl-C and SIGTERM, from a script's first moment on: each script imports this before anything else.

While something is being imported, an exception from a signal's handler can come out of a library's C code as another
one, or not at all. The process is then ended at once; there is hardly anything to tidy up yet. When a script is at
work, KeyboardInterrupt and SystemExit see to that.
"""

import _signal  # `signal` makes it nicer, but takes longer to import than Python takes to start
import os
import sys

_at_work = False
_stderr = -1


def _stop(number: int, frame) -> None:
    if not _at_work or _importing(frame):
        if number == _signal.SIGINT and _stderr >= 0:
            os.write(_stderr, b"error: interrupted\n")
        os._exit(128 + number)
    if number == _signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _importing(frame) -> bool:
    while frame and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return bool(frame)


def raise_them() -> None:
    """From now on they raise KeyboardInterrupt and SystemExit, but for within imports."""
    global _at_work
    _at_work = True


def ignore() -> None:
    """From now on nothing changes how the process ends."""
    for number in (_signal.SIGINT, _signal.SIGTERM):
        _signal.signal(number, _signal.SIG_IGN)


for _number in (_signal.SIGINT, _signal.SIGTERM):
    if _signal.getsignal(_number) != _signal.SIG_IGN:  # as `nohup` and `&` in a shell's script ask for
        _signal.signal(_number, _stop)
try:  # noqa: SIM105 - contextlib takes long, too
    _stderr = os.dup(2)  # descriptor 2 itself leads nowhere while TensorFlow is imported (utils.quiet_stderr)
except OSError:  # closed by the caller
    pass
