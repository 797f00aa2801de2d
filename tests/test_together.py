"""Generators that run side by side: their questions are answered together, and an error is that of one alone."""

import pytest

from faces.together import Ask, together


def test_questions_of_the_same_round_to_the_same_function_are_answered_by_one_call():
    calls = []

    def squared(questions):
        calls.append(("squared", questions))
        return [n * n for n in questions]

    def negative(questions):
        calls.append(("negative", questions))
        return [-n for n in questions]

    def task(n, rounds):
        for _ in range(rounds):
            n = yield Ask(squared, n)
        return (yield Ask(negative, n))

    results = together([task(2, 1), task(3, 2), task(5, 0)])
    assert [each.result() for each in results] == [-4, -81, -5]
    assert calls == [
        ("squared", [2, 3]),
        ("negative", [5]),
        ("negative", [4]),
        ("squared", [9]),
        ("negative", [81]),
    ]


def test_an_error_is_that_of_one_generator():
    def task(n):
        n = yield Ask(lambda questions: questions, n)
        return 1 / n

    good, bad, other = together([task(1), task(0), task(4)])
    assert (good.result(), other.result()) == (1, 0.25)
    with pytest.raises(ZeroDivisionError):
        bad.result()


def test_without_generators_there_are_no_results():
    assert together([]) == []


def test_an_error_of_an_answer_is_that_of_its_question():
    """The question that makes the common answer fail is found out; its generator may catch the error."""

    def inverse(questions):
        return [1 / n for n in questions]

    def task(n):
        return (yield Ask(inverse, n))

    def careful(n):
        try:
            return (yield Ask(inverse, n))
        except ZeroDivisionError:
            return (yield Ask(inverse, 8))

    good, bad, caught, other = together([task(2), task(0), careful(0), task(4)])
    assert (good.result(), caught.result(), other.result()) == (0.5, 0.125, 0.25)
    with pytest.raises(ZeroDivisionError):
        bad.result()
