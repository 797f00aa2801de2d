"""Stops long work where it can be resumed."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

# Those of jobs.interrupts, which only scripts may import, as it sets handlers.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def _signals_handled(handler: Any) -> Iterator[dict[int, Any]]:
    """Sets the handler of SIGNALS in this context; yields the earlier handlers by signal.

    A signal that the program's caller ignores stays ignored. Only the main thread gets signals: another thread changes
    nothing.
    """
    earlier: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                earlier[number] = signal.signal(number, handler)
    try:
        yield earlier
    finally:
        for taken, before in earlier.items():
            signal.signal(taken, before)


def signals_by_default(wanted: bool) -> AbstractContextManager:
    """Lets signals end the process at once if `wanted`. Python's own handlers would wait while C++ code runs."""
    return _signals_handled(signal.SIG_DFL) if wanted else nullcontext()


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collects signals in a list instead of obeying them; obeys a second one.

    A signal within a second of the first is ignored: `timeout`, for example, signals a process and then its group. In
    another thread than the main one the list stays empty.
    """
    received: list[int] = []
    due = 0.0

    def collect(number: int, frame: Any) -> None:
        nonlocal due
        if not received:
            due = time.monotonic() + 1
        elif time.monotonic() > due:
            signal.signal(number, earlier[number])
            signal.raise_signal(number)
        received.append(number)

    with _signals_handled(collect) as earlier:
        yield received
