"""Users who come and go are told in order, beside the backend's own work."""

from __future__ import annotations

import pytest

from flask_sse_push.application.presence import PresenceTeller
from flask_sse_push.runtime import task
from tests.support.clients import eventually


def test_each_is_told_in_order_although_one_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[str, bool]] = []

    def tell(user_id: str, is_online: bool) -> None:
        told.append((user_id, is_online))
        if user_id == "2":
            raise ValueError("a fault of the application")

    teller = PresenceTeller(tell, lambda: True)
    expected = [("1", True), ("2", True), ("1", False), ("3", True)]
    for user_id, is_online in expected:
        teller.put(user_id, is_online)
    eventually(lambda: told == expected)
    assert "A receiver of the signal user_online raised an error" in caplog.text


def test_without_a_listener_nothing_is_queued() -> None:
    told: list[str] = []
    teller = PresenceTeller(lambda user_id, _: told.append(user_id), lambda: False)
    teller.put("1", True)
    assert not teller._waiting


def test_without_a_thread_the_next_one_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    told: list[str] = []
    teller = PresenceTeller(lambda user_id, _: told.append(user_id), lambda: True)
    with monkeypatch.context() as patch:
        patch.setattr(task, "spawn", refuse)
        teller.put("1", True)
    assert told == []
    teller.put("2", True)
    eventually(lambda: told == ["1", "2"])
