from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask import Flask, request
from marshmallow import Schema, fields

from flask_sse_push import (
    BackendError,
    EventError,
    OutboxFull,
    PayloadError,
    RateLimitExceeded,
    SSEPush,
)
from flask_sse_push.application.state import state_of
from flask_sse_push.testing import SSERecorder, StreamReader


@pytest.fixture
def recorder(app: Flask, sse: SSEPush) -> Iterator[SSERecorder]:
    with SSERecorder(app) as recorder:
        yield recorder


# Batches.


def test_a_batch_shares_one_id(sse: SSEPush, recorder: SSERecorder) -> None:
    receipts = sse.send_batch(
        [
            {"user_id": "ada", "message": "One", "type": "warning"},
            {"userId": 7, "message": "Two"},
            ("bob", {"message": "Three"}),
        ]
    )
    assert [e.receipt for e in recorder.events] == receipts
    assert [e.channel for e in recorder.events] == ["user:ada", "user:7", "user:bob"]
    assert {e.name for e in recorder.events} == {"notification"}
    recorder.assert_sent_to("ada", "notification", message="One", type="warning")
    assert "userId" not in recorder.events[0].data
    [batch_id] = {e.data["batchId"] for e in recorder.events}
    assert re.fullmatch("[0-9a-f]{32}", batch_id)
    sse.send_batch([("ada", {"message": "Next"})])
    assert recorder.events[-1].data["batchId"] != batch_id


def test_a_batch_s_event_id_and_options(sse: SSEPush, recorder: SSERecorder) -> None:
    order = {"order_id": "A-1", "status": "shipped"}
    own = {**order, "batch_id": "own"}
    batch = [("ada", order), ("ada", own), ("ada", {**order, "batchId": "own"})]
    sse.send_batch(batch, "order-update", batch_id="b-1", store=False)
    assert [e.data["batchId"] for e in recorder.events] == ["b-1", "own", "own"]
    assert order == {"order_id": "A-1", "status": "shipped"}
    with pytest.raises(EventError, match="cannot share one id"):
        sse.send_batch(batch, "order-update", id="x")


def test_data_that_cannot_have_a_batch_id_goes_without(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    class Seat(Schema):
        number = fields.Integer(required=True)

    class Row:
        order_id = "A-1"
        status = "shipped"

    sse.register_schema("seat-taken", Seat)
    sse.send_batch([("ada", {"number": 7})], "seat-taken")
    sse.send_batch([("ada", Row())], "order-update")
    recorder.assert_sent_to("ada", "seat-taken", number=7)
    recorder.assert_sent_to("ada", "order-update", order_id="A-1")
    assert not [e for e in recorder.events if "batchId" in e.data]


def test_a_batch_is_checked_before_the_first_is_sent(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    good = ("ada", {"message": "Hi"})
    with pytest.raises(PayloadError):
        sse.send_batch([good, ("bob", {})])
    with pytest.raises(EventError, match="has no user_id"):
        sse.send_batch([good, {"message": "for nobody"}])
    with pytest.raises(EventError, match="user id"):
        sse.send_batch([good, (None, {"message": "for nobody"})])
    sse.limit("notification", "2/hour")
    with pytest.raises(RateLimitExceeded):
        sse.send_batch([good, good, good])
    recorder.assert_nothing_sent()


# Kinds of users.


def test_connected_users_are_chosen(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: request.args.get("user"))
    with ExitStack() as stack:
        streams = {
            user: stack.enter_context(
                StreamReader(app.test_client(), f"/sse/stream?user={user}")
            )
            for user in ("ada", "bob", "eve")
        }
        asked = []

        def is_premium(user_id: str) -> bool:
            asked.append(user_id)
            return user_id != "bob"

        data = {"message": "Hi", "active_user": True}
        receipts = sse.send_to_connected(is_premium, "notification", data)
        assert asked == ["ada", "bob", "eve"]
        assert [receipt.connected for receipt in receipts] == [True, True]
        sse.broadcast("notification", {"message": "marker"})
        for user, messages in {"ada": 2, "bob": 1, "eve": 2}.items():
            events = streams[user].take(messages)
            assert events[-1].data["message"] == "marker"
            assert events[0].data.get("activeUser", False) is (user != "bob")


def test_groups_are_for_admins(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: request.args.get("user"))
    sse.groups_loader(lambda user_id: ["admins"] if user_id == "root" else [])
    data = {"message": "Disk almost full", "admin_only": True}
    with (
        StreamReader(app.test_client(), "/sse/stream?user=root") as root,
        StreamReader(app.test_client(), "/sse/stream?user=ada") as ada,
    ):
        sse.send_to_group("admins", "notification", data)
        sse.broadcast("notification", {"message": "marker"})
        assert root.next().data["adminOnly"] is True
        assert ada.next().data["message"] == "marker"


# Health.


def test_health_is_returned_where_all_is_well(sse: SSEPush) -> None:
    assert sse.check_health()["isHealthy"] is True


@pytest.mark.redis
def test_an_unreachable_backend_is_an_error(app: Flask) -> None:
    app.config["SSE_PUSH_BACKEND_URL"] = "redis://127.0.0.1:1/0"
    sse = SSEPush(app)
    try:
        assert sse.health()["isHealthy"] is False
        with pytest.raises(BackendError, match=r"SSE_PUSH_BACKEND_URL.*0 events wait"):
            sse.check_health()
    finally:
        state_of(app).engine.stop()


def test_a_full_outbox_is_an_error(app: Flask) -> None:
    app.config["SSE_PUSH_OUTBOX_SIZE"] = 1
    sse = SSEPush(app)
    # One event is being sent, and only one may wait.
    state_of(app).engine.outbox._leaving = 1
    with pytest.raises(OutboxFull, match="1 events wait"):
        sse.check_health()
