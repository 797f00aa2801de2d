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

    Once all generators wait, questions to the same function are answered by one call, in this thread. If it fails, each
    question is asked alone, and a generator gets the error of its own question.
    """
    results: list[Future] = [Future() for _ in tasks]
    answered: dict[int, Future] = dict.fromkeys(range(len(tasks)), _answer(None))
    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        while answered:
            steps = {i: threads.submit(_step, tasks[i], answer) for i, answer in answered.items()}
            asked: dict[int, Ask] = {}
            for i, step in steps.items():
                try:
                    asked[i] = step.result()
                except StopIteration as end:
                    results[i].set_result(end.value)
                except Exception as error:
                    results[i].set_exception(error)
            answered = _answered(asked)
    finally:
        threads.shutdown(cancel_futures=True)
    return results


def _step(task: Asking, answer: Future) -> Ask:
    error = answer.exception()
    return task.throw(error) if error else task.send(answer.result())


def _answered(asked: dict[int, Ask]) -> dict[int, Future]:
    """The answer to each question."""
    answered: dict[int, Future] = {}
    for answers in dict.fromkeys(ask.answers for ask in asked.values()):
        askers = [i for i, ask in asked.items() if ask.answers == answers]
        answered |= zip(askers, _each(answers, [asked[i].question for i in askers]), strict=True)
    return answered


def _each(answers: Callable[[list[Any]], Sequence[Any]], questions: list[Any]) -> list[Future]:
    try:
        return [_answer(value) for value in answers(questions)]
    except Exception as error:
        if len(questions) == 1:
            return [_answer(error=error)]
        return [answer for question in questions for answer in _each(answers, [question])]


def _answer(value: Any = None, error: Exception | None = None) -> Future:
    answer: Future = Future()
    if error:
        answer.set_exception(error)
    else:
        answer.set_result(value)
    return answer
