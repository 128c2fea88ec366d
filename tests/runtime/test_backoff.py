"""Pauses between retries."""

from __future__ import annotations

import random

from flask_sse_push.runtime.backoff import Backoff


def test_pauses_grow_to_a_bound_and_start_again() -> None:
    backoff = Backoff()
    first = [backoff.is_first]
    pauses = [backoff.take() for _ in range(12)]
    first.append(backoff.is_first)
    assert first == [True, False]
    assert 0.025 <= pauses[0] <= 0.05
    assert all(1.0 <= pause <= 2.0 for pause in pauses[6:])
    backoff.reset()
    assert backoff.take() <= 0.05


def test_pauses_leave_the_sequence_of_random_alone() -> None:
    before = random.getstate()
    assert len({Backoff().take() for _ in range(20)}) > 1
    assert random.getstate() == before
