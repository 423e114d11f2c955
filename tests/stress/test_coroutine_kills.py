"""Actors of one process that are crashed while they await: each caller has its answer."""

from __future__ import annotations

import pytest

from tests.stress.coroutine_kills import run

BACKENDS = pytest.mark.parametrize("backend", ["inline", "threads"])


@BACKENDS
def test_a_few_crashes_leave_no_caller_without_an_answer(backend, seed):
    outcome = run(backend, 5, seed)
    assert outcome.kills > 5
    assert outcome.answered + outcome.failed > 10


@pytest.mark.stress
@BACKENDS
def test_thousands_of_crashes_leave_no_caller_without_an_answer(backend, seed):
    outcome = run(backend, 1000, seed)
    print(outcome)
    assert outcome.kills > 1000
    assert outcome.answered > 1000
