"""Handles Ctrl-C, SIGTERM and SIGHUP from a script's first moment on: each script imports this before anything else.

A library's C code may replace or drop the exception of a signal's handler while it is being imported. A signal
therefore ends the process at once during imports. Afterwards KeyboardInterrupt or SystemExit lets the script clean up.
IPython, whose %run runs a script within a notebook, keeps its own handlers.
"""

import _signal  # `signal` is nicer, but takes longer to import than Python takes to start
import builtins
import os
import sys

IN_IPYTHON = hasattr(builtins, "__IPYTHON__")  # the process goes on after the script
# SIGHUP is sent when the terminal is closed. Windows does not have it.
_NAMES = () if IN_IPYTHON else ("SIGINT", "SIGTERM", "SIGHUP")
SIGNALS = tuple(getattr(_signal, name) for name in _NAMES if hasattr(_signal, name))
_at_work = False
_stderr = os.dup(2)  # descriptor 2 itself leads nowhere while TensorFlow is imported (utils.quiet_stderr)


def _stop(number: int, frame) -> None:
    if not _at_work or _importing(frame):
        if number == _signal.SIGINT:
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
    """Lets signals raise KeyboardInterrupt and SystemExit from now on, except during imports."""
    global _at_work
    _at_work = True


def ignore() -> None:
    """Ignores the signals from now on, so that the process ends as it was about to."""
    for number in SIGNALS:
        _signal.signal(number, _signal.SIG_IGN)


for _number in SIGNALS:
    if _signal.getsignal(_number) != _signal.SIG_IGN:  # `nohup`, and `&` in a shell's script, ignore some
        _signal.signal(_number, _stop)
