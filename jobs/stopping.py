"""Stopping long work where it can go on later."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


@contextmanager
def _signals_handled(handler: Any) -> Iterator[dict[int, Any]]:
    """Has Ctrl-C and SIGTERM handled so in here; yields the handlers that there were.

    A signal that the caller of the program ignores stays ignored. Only the main thread gets signals: in another one
    nothing is changed.
    """
    earlier: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                earlier[number] = signal.getsignal(number)
                signal.signal(number, handler)
    try:
        yield earlier
    finally:
        for taken, before in earlier.items():
            signal.signal(taken, before)


def signals_by_default() -> AbstractContextManager:
    """Lets Ctrl-C and SIGTERM end the process without Python, whose handlers wait while C++ does."""
    return _signals_handled(signal.SIG_DFL)


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Takes note of Ctrl-C and SIGTERM in a list, instead of obeying them at once; a second one is obeyed.

    One that follows within a second is the same one, sent twice: `timeout`, for one, signals a process and its group.
    In another thread than the main one the list stays empty.
    """
    received: list[int] = []
    due = 0.0

    def take_note(number: int, frame: Any) -> None:
        nonlocal due
        if not received:
            due = time.monotonic() + 1
        elif time.monotonic() > due:
            signal.signal(number, earlier[number])
            signal.raise_signal(number)
        received.append(number)

    with _signals_handled(take_note) as earlier:
        yield received
