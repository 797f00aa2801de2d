"""Stopping long work where it can go on later."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def signals_by_default() -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM end the process without Python, whose handlers wait while C++ does.

    A signal that the caller of the program ignores stays ignored.
    """
    earlier: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                earlier[number] = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for taken, handler in earlier.items():
            signal.signal(taken, handler)


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Takes note of Ctrl-C and SIGTERM in a list, instead of obeying them at once; a second one is obeyed.

    One that follows within a second is the same one, sent twice: `timeout`, for one, signals a process and its group.
    A signal that the caller of the program ignores stays ignored. In another thread than the main one, which alone gets
    signals, the list stays empty.
    """
    received: list[int] = []
    earlier: dict[int, Any] = {}
    due = 0.0

    def take_note(number: int, frame: Any) -> None:
        nonlocal due
        if not received:
            due = time.monotonic() + 1
        elif time.monotonic() > due:
            signal.signal(number, earlier[number])
            signal.raise_signal(number)
        received.append(number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                earlier[number] = signal.getsignal(number)
                signal.signal(number, take_note)
    try:
        yield received
    finally:
        for taken, handler in earlier.items():
            signal.signal(taken, handler)
