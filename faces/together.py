"""Runs generators side by side, so that what they ask for is computed together."""

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple


class Ask(NamedTuple):
    """What a generator yields to be sent the answer."""

    answers: Callable[[list[Any]], Sequence[Any]]  # answers a list of questions
    question: Any


Asking = Generator[Ask, Any, Any]


def together(tasks: Sequence[Asking]) -> list[Future]:
    """Runs generators in threads and returns their results, with the error of each that failed.

    Once all generators wait, questions to the same function are answered by one call, in this thread.
    """
    results: list[Future] = [Future() for _ in tasks]
    sent: dict[int, Any] = dict.fromkeys(range(len(tasks)))
    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        while sent:
            steps = {i: threads.submit(tasks[i].send, answer) for i, answer in sent.items()}
            asked: dict[int, Ask] = {}
            for i, step in steps.items():
                try:
                    asked[i] = step.result()
                except StopIteration as end:
                    results[i].set_result(end.value)
                except Exception as error:
                    results[i].set_exception(error)
            sent = _answered(asked)
    finally:
        threads.shutdown(cancel_futures=True)
    return results


def _answered(asked: dict[int, Ask]) -> dict[int, Any]:
    """The answer to each question."""
    sent: dict[int, Any] = {}
    for answers in dict.fromkeys(ask.answers for ask in asked.values()):
        askers = [i for i, ask in asked.items() if ask.answers == answers]
        sent |= zip(askers, answers([asked[i].question for i in askers]), strict=True)
    return sent
