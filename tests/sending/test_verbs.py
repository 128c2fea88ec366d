"""The arguments that verbs accept and refuse, and the receipts they return."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from flask import Flask
from marshmallow import Schema, fields

from flask_sse_push import Event, EventError, PayloadError, SSEPush, signals
from flask_sse_push.testing import StreamReader
from tests.support.clients import bodies


@pytest.mark.usefixtures("context")
def test_a_receipt_tells_the_id_and_whether_anybody_was_there(
    app: Flask, sse: SSEPush
) -> None:
    first = sse.send_to_user(1, "x", {})
    assert (first.queued, first.connected) == (False, False)
    sse.user_loader(lambda: 1)
    response = app.test_client().get("/sse/stream", buffered=False)
    second = sse.send_to_user("1", "x", {})
    assert second.connected is True
    assert first.id is not None
    assert second.id is not None
    assert first.id < second.id
    assert second.wait(0)
    assert [b["timestamp"] for b in bodies(response, 2)]


@pytest.mark.usefixtures("context")
def test_send_to_users_sends_all_or_nothing(sse: SSEPush) -> None:
    with pytest.raises(EventError):
        sse.send_to_users([1, None], "x", {})
    assert sse.health()["historyEvents"] == 0
    receipts = sse.send_to_users([1, 2], "x", {})
    assert len({receipt.id for receipt in receipts}) == 2


@pytest.mark.usefixtures("context")
def test_one_id_arrives_once(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: 1)
    first = sse.send_to_user(1, "x", {"a": 1}, id="order-5")
    again = sse.send_to_user(1, "x", {"a": 1}, id="order-5")
    other = sse.send_to_user(2, "x", {"a": 1}, id="order-5")
    sse.send_to_user(1, "x", {"a": 2})
    assert first.id == again.id != other.id
    response = app.test_client().get("/sse/stream", buffered=False)
    received = bodies(response, 2)
    assert [body["a"] for body in received] == [1, 2]
    assert received[0]["id"] == "order-5"


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("event", "data", "error"),
    [
        ("notification", {"type": "odd", "message": "x"}, PayloadError),
        ("notification", "text", PayloadError),
        ("x", {"a": object()}, PayloadError),
        ("x", {"a": float("nan")}, PayloadError),
        ("x", {"a": "\ud800"}, EventError),
        ("x", {"a": "x" * 70_000}, PayloadError),
        ("x", {"a": "ä" * 33_000}, PayloadError),
        ("sse-push-gap", {}, EventError),
        ("a\nb", {}, EventError),
        ("", {}, EventError),
    ],
)
def test_what_cannot_be_sent_is_refused_and_told(
    app: Flask, sse: SSEPush, event: str, data: Any, error: type[Exception]
) -> None:
    told = []

    def listen(sender: Flask, **what: Any) -> None:
        told.append((sender, what["event"]))

    with signals.event_failed.connected_to(listen), pytest.raises(error):
        sse.broadcast(event, data)
    assert told == [(app, event)]
    assert sse.health()["historyEvents"] == 0


class Names(str, Enum):  # noqa: UP042 (as people write it who know no StrEnum)
    NOTE = "notification"
    ADA = "ada"


@pytest.mark.usefixtures("context")
def test_members_of_text_enumerations_go_by_their_values(
    app: Flask, sse: SSEPush
) -> None:
    sse.user_loader(lambda: Names.ADA)
    receipt = sse.send_to_user(Names.ADA, Names.NOTE, {"message": "m"}, id=Names.ADA)
    response = app.test_client().get("/sse/stream", buffered=False)
    chunk = next(iter(response.response))
    response.close()
    assert f"id: {receipt.id}\nevent: notification\n".encode() in chunk
    assert b'"id":"ada"' in chunk


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    "send",
    [
        lambda sse: sse.send_to_users("ada", "x", {}),
        lambda sse: sse.send_to_users(None, "x", {}),
        lambda sse: sse.send_to_users(5, "x", {}),
        lambda sse: sse.broadcast("x", {}, priority="medium"),
        lambda sse: sse.broadcast("x", {}, priority=None),
        lambda sse: sse.broadcast(5, {}),
        lambda sse: sse.broadcast(None, {}),
        lambda sse: sse.broadcast("x", {}, id=""),
        lambda sse: sse.send_to_group(5, "x", {}),
        lambda sse: sse.acknowledge("ada", None),
        lambda sse: sse.acknowledge("ada", sse.broadcast("x", {})),
        lambda sse: Event(name=5),  # type: ignore[arg-type]
        lambda sse: Event(data={}),  # type: ignore[arg-type]
        lambda sse: Event(channel="bogus"),
    ],
)
def test_arguments_that_are_none_get_an_error_of_ours(
    sse: SSEPush, send: Callable[[SSEPush], object]
) -> None:
    with pytest.raises(EventError):
        send(sse)


@pytest.mark.usefixtures("context")
def test_data_nested_too_deeply_is_refused(sse: SSEPush) -> None:
    data: dict[str, Any] = {}
    for _ in range(100_000):
        data = {"a": data}
    with pytest.raises(PayloadError):
        sse.broadcast("x", data)


def test_a_schema_may_be_registered_before_init_app(app: Flask) -> None:
    class Parcel(Schema):
        weight = fields.Float(required=True)

    sse = SSEPush()
    sse.register_schema("parcel", Parcel)
    sse.init_app(app)
    with pytest.raises(PayloadError) as refused:
        sse.broadcast("parcel", {})
    assert refused.value.messages == {"weight": ["Missing data for required field."]}


def test_strict_events_refuse_unknown_names(app: Flask) -> None:
    app.config["SSE_PUSH_STRICT_EVENTS"] = True
    sse = SSEPush(app)
    with pytest.raises(PayloadError, match="SSE_PUSH_STRICT_EVENTS"):
        sse.broadcast("unknown", {})
    sse.broadcast("notification", {"type": "info", "message": "known"})


def test_without_memory_for_history_the_mailbox_still_holds_events(
    app: Flask,
) -> None:
    app.config["SSE_PUSH_HISTORY_BYTES"] = 0
    sse = SSEPush(app)
    sse.user_loader(lambda: 1)
    for number in range(3):
        sse.send_to_user(1, "x", {"a": number})
    assert sse.health()["historyEvents"] == 0
    with StreamReader(app.test_client()) as stream:
        assert [event.data["a"] for event in stream.take(3, 10)] == [0, 1, 2]


def test_acknowledge_takes_an_id_of_an_event(sse: SSEPush) -> None:
    receipt = sse.send_to_user(1, "x", {})
    assert receipt.id is not None
    assert sse.acknowledge(2, receipt.id) == 0
    assert sse.acknowledge(1, receipt.id) == 1
    with pytest.raises(EventError):
        sse.acknowledge(1, "nonsense")


@pytest.mark.parametrize(
    ("names", "option", "expected"),
    [
        ("all", None, True),
        ("all", False, False),
        (["other"], None, False),
        (["other", "row"], None, True),
        ([], True, True),
        ([], None, False),
    ],
)
def test_which_events_wait_in_a_mailbox(
    app: Flask, names: object, option: bool | None, expected: bool
) -> None:
    app.config["SSE_PUSH_MAILBOX_EVENTS"] = names
    sse = SSEPush(app)
    with app.app_context():
        sse.send_to_user("1", "row", {"n": 1}, mailbox=option)
        sse.send_to_user("1", "row", {"n": 2}, mailbox=option, store=False)
        assert sse.acknowledge("1", sse.health()["position"]) == int(expected)
