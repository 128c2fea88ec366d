from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask

from flask_sse_push import (
    EventError,
    PayloadError,
    RateLimitExceeded,
    Receipt,
    SSEPush,
)
from flask_sse_push.sending.sender import Sender
from flask_sse_push.signals import event_failed, event_published
from flask_sse_push.testing import SSERecorder, StreamReader
from tests.support.clients import eventually

STATUSES = ("processing", "confirmed", "shipped", "delivered")
STEPS = [
    {"order_id": "A-1", "status": status, "message": f"Order {status}"}
    for status in STATUSES
]


@pytest.fixture
def recorder(app: Flask, sse: SSEPush) -> Iterator[SSERecorder]:
    with SSERecorder(app) as recorder:
        yield recorder


def test_steps_arrive_in_order_and_numbered(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: "ada")
    with StreamReader(app.test_client()) as stream:
        sequence = sse.sequence("ada", "order-status", STEPS, pause=0.01)
        events = stream.take(4)
    assert [event.data["status"] for event in events] == list(STATUSES)
    assert [event.data["step"] for event in events] == [1, 2, 3, 4]
    assert {event.data["totalSteps"] for event in events} == {4}
    assert sequence.wait(5)
    assert [receipt.id for receipt in sequence.receipts] == [e.id for e in events]
    assert sequence.error is None


def test_each_step_carries_the_time_it_was_sent(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    sse.sequence("ada", "order-status", STEPS[:2], pause=0.02).wait(5)
    first, second = [sent.data["timestamp"] for sent in recorder.events]
    assert first < second


def test_the_first_is_sent_at_once_and_the_view_does_not_wait(
    app: Flask, sse: SSEPush, recorder: SSERecorder
) -> None:
    running = []

    @app.post("/orders")
    def order() -> str:
        running.append(sse.sequence("ada", "order-status", STEPS, pause=3600))
        return "taken"

    assert app.test_client().post("/orders").text == "taken"
    assert [sent.data["step"] for sent in recorder.sent_to("ada")] == [1]
    assert not running[0].is_done
    assert not running[0].wait(0.01)
    running[0].cancel()
    assert running[0].wait(5)
    assert len(recorder.events) == 1


def test_it_survives_the_request(
    app: Flask, sse: SSEPush, recorder: SSERecorder
) -> None:
    running = []

    @app.post("/orders")
    def order() -> str:
        running.append(sse.sequence("ada", "order-status", STEPS, pause=0.01))
        return "taken"

    app.test_client().post("/orders")
    assert running[0].wait(5)
    assert [sent.data["step"] for sent in recorder.events] == [1, 2, 3, 4]


def test_a_bad_step_raises_before_anything_is_sent(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    with pytest.raises(PayloadError) as caught:
        sse.sequence("ada", "order-status", [*STEPS, {"status": "lost"}], pause=0)
    assert set(caught.value.messages) == {"orderId", "message"}
    assert recorder.events == []


def test_numbers_of_its_own_are_kept(sse: SSEPush, recorder: SSERecorder) -> None:
    steps = [{**STEPS[2], "step": 3, "total_steps": 9}, {**STEPS[3], "totalSteps": 9}]
    sse.sequence("ada", "order-status", steps, pause=0).wait(5)
    numbers = [(e.data["step"], e.data["totalSteps"]) for e in recorder.events]
    assert numbers == [(3, 9), (2, 9)]


def test_only_what_the_schema_takes_is_filled_in(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    sse.sequence("ada", "notification", [{"message": "Hi"}]).wait(5)
    sse.sequence("ada", "no-schema", [{"message": "Hi"}]).wait(5)
    assert "step" not in recorder.sent_to("ada", "notification")[0].data
    recorder.assert_sent_to("ada", "no-schema", step=1, total_steps=1)


def test_steps_may_be_any_iterable_and_are_not_changed(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    step: dict[str, Any] = dict(STEPS[0])
    sse.sequence("ada", "order-status", iter([step, step]), pause=0).wait(5)
    assert [e.data["step"] for e in recorder.events] == [1, 2]
    assert step == STEPS[0]
    assert sse.sequence("ada", "order-status", []).is_done


def test_a_failure_ends_it_and_is_told(
    app: Flask,
    sse: SSEPush,
    recorder: SSERecorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sse.user_loader(lambda: None)
    failed: list[Exception] = []

    def note(sender: Flask, error: Exception, **kwargs: Any) -> None:
        failed.append(error)

    with event_failed.connected_to(note, sender=app):
        sequence = sse.sequence(
            "ada", "order-status", STEPS, pause=0, rate_limit="2/hour"
        )
        assert sequence.wait(5)
    assert isinstance(sequence.error, RateLimitExceeded)
    assert failed == [sequence.error]
    assert [sent.data["step"] for sent in recorder.events] == [1, 2]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "2/4" in record.getMessage()


@dataclass
class Shipped:
    order_id: str
    status: str
    message: str
    step: int = 7
    total_steps: int = 9
    timestamp: str | None = None
    estimated_delivery: str | None = None
    tracking_number: str | None = None


def test_an_object_is_sent_as_it_is(sse: SSEPush, recorder: SSERecorder) -> None:
    steps = [Shipped("A-1", "shipped", "On its way")]
    sse.sequence("ada", "order-status", steps).wait(5)
    recorder.assert_sent_to("ada", "order-status", order_id="A-1", step=7)


def test_an_unforeseen_error_ends_it_and_is_logged(
    sse: SSEPush,
    recorder: SSERecorder,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sse.user_loader(lambda: None)
    send = Sender.send

    def fail_later(*args: Any) -> list[Receipt]:
        if recorder.events:
            raise ZeroDivisionError
        return send(*args)

    monkeypatch.setattr(Sender, "send", fail_later)
    sequence = sse.sequence("ada", "order-status", STEPS, pause=0)
    assert sequence.wait(5)
    assert isinstance(sequence.error, ZeroDivisionError)
    assert [sent.data["step"] for sent in recorder.events] == [1]
    [record] = caplog.records
    assert record.exc_info


def test_a_receivers_fault_does_not_end_it(
    app: Flask, sse: SSEPush, recorder: SSERecorder
) -> None:
    def refuse(sender: Flask, data: str, **kwargs: Any) -> None:
        if '"step":2' in data:
            raise ZeroDivisionError

    with event_published.connected_to(refuse, sender=app):
        sequence = sse.sequence("ada", "order-status", STEPS, pause=0)
        assert sequence.wait(5)
    assert sequence.error is None
    assert [sent.data["step"] for sent in recorder.events] == [1, 2, 3, 4]


@pytest.mark.parametrize("pause", [-1, float("nan")])
def test_a_pause_below_zero_is_refused(sse: SSEPush, pause: float) -> None:
    with pytest.raises(EventError, match="pause must be seconds, 0 or more"):
        sse.sequence("ada", "order-status", STEPS, pause=pause)


def test_one_id_for_all_is_refused(sse: SSEPush) -> None:
    with pytest.raises(EventError, match="cannot share one id"):
        sse.sequence("ada", "order-status", STEPS, id="x")


def test_cancelling_does_not_wait_for_the_pause(sse: SSEPush) -> None:
    before = threading.active_count()
    sequence = sse.sequence("ada", "order-status", STEPS, pause=3600)
    sequence.cancel()
    assert sequence.wait(30)
    eventually(lambda: threading.active_count() <= before)


def test_it_stays_with_the_application_that_was_current(
    app: Flask, sse: SSEPush, recorder: SSERecorder
) -> None:
    other = Flask("other")
    sse.init_app(other)
    with SSERecorder(other) as others:
        with other.app_context():
            sequence = sse.sequence("ada", "order-status", STEPS[:2], pause=0.01)
        assert sequence.wait(5)
    assert [event.data["step"] for event in others.events] == [1, 2]
    assert recorder.events == []
