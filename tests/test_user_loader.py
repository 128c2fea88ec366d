"""The warning about events to users whom no stream can have."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from flask import Flask, Response

from flask_sse_push import SSEPush
from flask_sse_push.signals import user_event
from flask_sse_push.testing import StreamReader

pytestmark = pytest.mark.usefixtures("context")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "send",
    [
        lambda app, sse: sse.send_to_user("ada", "x", {}),
        lambda app, sse: sse.send_to_users(["ada", "bob"], "x", {}),
        lambda app, sse: sse.send_batch([("ada", {})], "x"),
        lambda app, sse: sse.sequence("ada", "x", [{}]),
        lambda app, sse: user_event.send(app, user_id="ada", event="x", data={}),
    ],
)
def test_events_to_users_without_a_user_loader_warn_once(
    app: Flask,
    sse: SSEPush,
    caplog: pytest.LogCaptureFixture,
    send: Callable[[Flask, SSEPush], object],
) -> None:
    sse.broadcast("x", {})
    sse.send_to_group("staff", "x", {})
    sse.remove_client("ada")
    assert warnings(caplog) == []
    send(app, sse)
    send(app, sse)
    [text] = warnings(caplog)
    assert "@sse.user_loader" in text
    assert "sse.stream_response(user_id)" in text
    assert "sse.issue_ticket(user_id)" in text


def test_with_a_user_loader_nothing_is_said(
    sse: SSEPush, caplog: pytest.LogCaptureFixture
) -> None:
    sse.user_loader(lambda: None)
    sse.send_to_user("ada", "x", {})
    assert warnings(caplog) == []


def test_a_route_that_says_who_its_stream_is_for_is_as_good(
    app: Flask, sse: SSEPush, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/mine")
    def mine() -> Response:
        return sse.stream_response("ada")

    with StreamReader(app.test_client(), "/mine") as stream:
        sse.send_to_user("ada", "x", {"n": 1})
        assert stream.next().data["n"] == 1
    assert warnings(caplog) == []


def test_a_ticket_that_says_who_its_stream_is_for_is_as_good(
    app: Flask, sse: SSEPush, caplog: pytest.LogCaptureFixture
) -> None:
    app.secret_key = "for tests only"
    sse.issue_ticket("ada")
    sse.send_to_user("ada", "x", {})
    assert warnings(caplog) == []
