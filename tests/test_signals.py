"""The signals: an error in a receiver affects neither sender nor other receivers."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Response, current_app, request

from flask_sse_push import ConfigError, PayloadError, SSEPush, signals
from tests.support.clients import bodies, eventually


@pytest.mark.usefixtures("context")
def test_signals_do_what_the_verbs_do(app: Flask, sse: SSEPush) -> None:
    published = []

    def listen(sender: Flask, **what: Any) -> None:
        published.append((what["channel"], what["event"], what["receipt"].id))

    with signals.event_published.connected_to(listen, app):
        [(_, one)] = signals.user_event.send(app, user_id=1, event="x", data={})
        [(_, two)] = signals.group_event.send(app, group="g", event="y", data={})
        [(_, all)] = signals.broadcast_event.send(app, event="z", data={}, store=False)
    assert published == [
        ("user:1", "x", one.id),
        ("group:g", "y", two.id),
        ("all", "z", all.id),
    ]
    with pytest.raises(PayloadError):
        signals.user_event.send(app, user_id=1, event="notification", data={})


def test_streams_tell_when_they_open_and_end(app: Flask, sse: SSEPush) -> None:
    told: list[Any] = []

    def opened(sender: Flask, **what: Any) -> None:
        told.append((sender, what))

    def ended(sender: Flask, **what: Any) -> None:
        assert what.pop("duration") >= 0
        told.append((sender, what))

    sse.user_loader(lambda: 7)
    with (
        signals.client_connected.connected_to(opened, app),
        signals.client_disconnected.connected_to(ended, app),
    ):
        response = app.test_client().get("/sse/stream", buffered=False)
        assert sse.get_client_count() == 1
        assert sse.is_user_connected(7)
        response.close()
        eventually(lambda: len(told) == 2)
    assert told == [
        (app, {"user_id": "7"}),
        (app, {"user_id": "7", "reason": "gone"}),
    ]
    assert sse.get_client_count() == 0


def test_users_come_online_and_go_offline_once(app: Flask) -> None:
    app.config["SSE_PUSH_PRESENCE_GRACE_SECONDS"] = 0.5
    sse = SSEPush(app)
    told: list[Any] = []

    def online(sender: Flask, **what: Any) -> None:
        told.append((sender, "online", what))

    def offline(sender: Flask, **what: Any) -> None:
        told.append((sender, "offline", what))

    sse.user_loader(lambda: 7)
    with (
        signals.user_online.connected_to(online, app),
        signals.user_offline.connected_to(offline, app),
    ):
        client = app.test_client()
        streams = [client.get("/sse/stream", buffered=False) for _ in range(2)]
        eventually(lambda: bool(told))
        streams[0].close()
        # A page change: the next page's stream opens after the last one's end.
        streams[1].close()
        streams.append(client.get("/sse/stream", buffered=False))
        streams[2].close()
        eventually(lambda: len(told) == 2)
    assert told == [
        (app, "online", {"user_id": "7"}),
        (app, "offline", {"user_id": "7"}),
    ]


def test_a_fault_in_telling_of_users_is_logged_and_disturbs_nothing(
    app: Flask, sse: SSEPush, caplog: pytest.LogCaptureFixture
) -> None:
    users: list[str] = []

    def fail(sender: Flask, user_id: str) -> None:
        users.append(user_id)
        raise RuntimeError("a receiver's fault")

    sse.user_loader(lambda: request.args["user"])
    with signals.user_online.connected_to(fail, app):
        for user in ("1", "2"):
            response = app.test_client().get(f"/sse/stream?user={user}", buffered=False)
            sse.broadcast("x", {"a": 1})
            assert bodies(response, 1)[0]["a"] == 1
        eventually(lambda: users == ["1", "2"])
    eventually(lambda: caplog.text.count("a receiver's fault") >= 2)


@pytest.mark.usefixtures("context")
def test_a_signal_takes_the_application_or_its_proxy_as_sender(sse: SSEPush) -> None:
    [(_, receipt)] = signals.broadcast_event.send(current_app, event="x", data={})
    assert receipt.id is not None
    for sender in (None, "app", Flask("without")):
        with pytest.raises(ConfigError):
            signals.broadcast_event.send(sender, event="x", data={})


@pytest.mark.usefixtures("context")
def test_a_receivers_fault_is_not_the_senders(
    app: Flask, sse: SSEPush, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(sender: Flask, **what: Any) -> None:
        raise RuntimeError("a receiver's fault")

    with signals.event_published.connected_to(fail, app):
        assert len(sse.send_to_users([1, 2], "x", {})) == 2
    assert "a receiver's fault" in caplog.text


def test_a_fault_at_the_start_of_a_stream_does_not_end_it(
    app: Flask, sse: SSEPush, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(sender: Flask, user_id: str | None) -> None:
        raise RuntimeError("a receiver's fault")

    with signals.client_connected.connected_to(fail, app):
        response = app.test_client().get("/sse/stream", buffered=False)
    sse.broadcast("x", {"a": 1})
    assert bodies(response, 1)[0]["a"] == 1
    assert "a receiver's fault" in caplog.text


class Interrupted(BaseException):
    """An exception that ends a request from outside, such as ``gevent.Timeout``."""


def test_a_request_that_is_interrupted_leaves_no_stream_open(
    app: Flask, sse: SSEPush
) -> None:
    reasons: list[str] = []

    def interrupt(sender: Flask, user_id: str | None) -> None:
        raise Interrupted

    def ended(sender: Flask, reason: str, **what: Any) -> None:
        reasons.append(reason)

    with (
        signals.client_connected.connected_to(interrupt, app),
        signals.client_disconnected.connected_to(ended, app),
    ):
        with pytest.raises(Interrupted):
            app.test_client().get("/sse/stream")
        assert sse.get_client_count() == 0
        eventually(lambda: reasons == ["error"])


def test_a_fault_at_the_end_of_a_stream_keeps_nobody_from_being_told(
    app: Flask, sse: SSEPush, caplog: pytest.LogCaptureFixture
) -> None:
    users: list[str | None] = []

    def fail() -> None:
        raise RuntimeError("an application's fault")

    def ended(sender: Flask, user_id: str | None, **what: Any) -> None:
        users.append(user_id)

    @app.get("/own")
    def own() -> Response:
        response = sse.stream_response("7")
        response.call_on_close(fail)
        return response

    with signals.client_disconnected.connected_to(ended, app):
        app.test_client().get("/own", buffered=False).close()
        eventually(lambda: users == ["7"])
    assert "an application's fault" in caplog.text
