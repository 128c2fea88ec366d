"""Streams as responses: with the application's hooks, and within its limits."""

from __future__ import annotations

import threading

import pytest
from flask import Flask, Response, make_response, request
from werkzeug.test import run_wsgi_app

from flask_sse_push import SSEPush
from flask_sse_push.testing import StreamReader
from tests.support.clients import bodies


class OwnResponse(Response):
    """A class that an application may set as its ``response_class``."""

    default_mimetype = "application/json"


def test_an_application_may_have_a_response_class_of_its_own(
    app: Flask, sse: SSEPush
) -> None:
    app.response_class = OwnResponse
    kinds: list[type[Response]] = []

    @app.get("/own")
    def own() -> Response:
        return make_response(sse.stream_response("7"))

    @app.after_request
    def note(response: Response) -> Response:
        kinds.append(type(response))
        return response

    for path in ("/sse/stream", "/own"):
        response = app.test_client().get(path, buffered=False)
        assert response.mimetype == "text/event-stream"
        sse.broadcast("x", {"a": 1})
        assert bodies(response, 1)[0]["a"] == 1
    assert [issubclass(kind, OwnResponse) for kind in kinds] == [True, True]


def test_streams_have_no_context_of_the_request(app: Flask, sse: SSEPush) -> None:
    torn_down: list[BaseException | None] = []
    app.teardown_request(torn_down.append)
    response = app.test_client().get("/sse/stream", buffered=False)
    assert torn_down == [None]
    sse.broadcast("x", {"a": 1})
    assert bodies(response, 1)[0]["a"] == 1


def test_a_hook_that_reads_the_body_gets_an_error_not_a_hang(
    app: Flask, sse: SSEPush
) -> None:
    @app.after_request
    def measure(response: Response) -> Response:
        response.get_data()
        return response

    with pytest.raises(RuntimeError, match="passthrough"):
        app.test_client().get("/sse/stream")
    assert sse.get_client_count() == 0


def test_a_stream_that_cannot_be_registered_is_none(
    app: Flask, sse: SSEPush, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            app.test_client().get("/sse/stream")
        assert sse.get_client_count() == 0
    with StreamReader(app.test_client()) as stream:
        sse.broadcast("x", {"a": 1})
        assert stream.next(timeout=10).data["a"] == 1


def test_the_limit_of_a_user_holds_for_many_who_come_at_once(app: Flask) -> None:
    app.config["SSE_PUSH_MAX_CONNECTIONS_PER_USER"] = 1
    sse = SSEPush(app)
    with app.test_request_context():
        # All views have answered before the server calls any of the responses.
        responses = [sse.stream_response("7") for _ in range(5)]
        environ = request.environ
    answers = [run_wsgi_app(response, environ) for response in responses]
    assert sse.get_client_count() == 1
    refusals = [b"".join(body) for body, _, _ in answers[1:]]
    assert all(
        b"this user has reached the limit of connections" in text for text in refusals
    )
    answers[0][0].close()  # type: ignore[attr-defined]
    assert sse.get_client_count() == 0


def test_the_worker_has_room_for_so_many_connections(app: Flask) -> None:
    app.config["SSE_PUSH_MAX_CONNECTIONS"] = 1
    sse = SSEPush(app)
    first = app.test_client().get("/sse/stream", buffered=False)
    second = app.test_client().get("/sse/stream")
    assert second.status_code == 200
    assert second.data.startswith(b"retry: ")
    assert sse.get_client_count() == 1
    first.close()


@pytest.mark.parametrize(
    ("accept", "status"),
    [("text/*", 200), ("text/html, */*;q=0.1", 200), ("application/json", 406)],
)
def test_a_client_must_take_an_event_stream(
    app: Flask, sse: SSEPush, accept: str, status: int
) -> None:
    response = app.test_client().get(
        "/sse/stream", headers={"Accept": accept}, buffered=False
    )
    assert response.status_code == status
    response.close()


def test_an_old_stream_is_ended_and_told_why(app: Flask) -> None:
    app.config["SSE_PUSH_MAX_CONNECTION_SECONDS"] = 0.2
    app.config["SSE_PUSH_HEARTBEAT_SECONDS"] = 0.5
    SSEPush(app)
    response = app.test_client().get("/sse/stream")
    assert response.data.endswith(
        b'event: sse-push-closing\ndata: {"reason":"age"}\n\n'
    )
