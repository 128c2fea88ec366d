"""``StreamReader`` reads a stream event by event, and never waits for ever."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, abort

from flask_sse_push import SSEPush
from flask_sse_push.delivery.connections import StreamedConnection
from flask_sse_push.testing import ReceivedEvent, StreamReader
from flask_sse_push.testing.reader import _Parser
from tests.support.clients import eventually

NOTE = {"message": "Hi"}


def test_a_stream_is_read_event_by_event(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: "ada")
    with StreamReader(app.test_client()) as stream:
        assert stream.response.status_code == 200
        opened_at = stream.last_event_id
        receipt = sse.send_to_user("ada", "notification", NOTE)
        sse.broadcast("maintenance", {"planned": False, "duration": "1 h"})
        event = stream.next()
        assert event == ReceivedEvent("notification", event.data, receipt.id, 3000)
        assert event.data["message"] == "Hi"
        assert stream.last_event_id == receipt.id != opened_at
        assert [event.name for event in stream.take(1)] == ["maintenance"]
    with StreamReader(app.test_client(), last_event_id=opened_at) as again:
        assert again.last_event_id == opened_at
        assert [event.id for event in again.take(2)] == [
            receipt.id,
            again.last_event_id,
        ]


def test_a_stream_resumes(app: Flask, sse: SSEPush) -> None:
    first = sse.broadcast("n", {"n": 1})
    sse.broadcast("n", {"n": 2})
    with StreamReader(app.test_client(), last_event_id=first.id) as stream:
        assert stream.next().data["n"] == 2
    with StreamReader(app.test_client(), last_event_id="1-0") as stream:
        gap, one, two = stream.take(3)
    assert (gap.name, gap.data["since"]) == ("sse-push-gap", "1-0")
    assert [one.data["n"], two.data["n"]] == [1, 2]


def test_it_never_hangs(app: Flask, sse: SSEPush) -> None:
    with StreamReader(app.test_client()) as stream:
        with pytest.raises(TimeoutError, match=r"on /sse/stream after 0\.01 s"):
            stream.next(timeout=0.01)
        sse.broadcast("n", {"n": 1})
        with pytest.raises(TimeoutError, match=r"of 2 .* these arrived: \['n'\]"):
            stream.take(2, timeout=0.2)
        assert stream.next().data["n"] == 1


def test_closing_closes_the_connection(app: Flask, sse: SSEPush) -> None:
    threads = threading.active_count()
    sse.user_loader(lambda: "ada")
    client = app.test_client()
    with StreamReader(client), StreamReader(client) as second:
        assert sse.get_client_count() == 2
        second.close()
        assert sse.get_client_count() == 1
        with pytest.raises(EOFError, match="ended"):
            second.next()
    assert sse.get_client_count() == 0
    assert not sse.is_user_connected("ada")
    # The threads of the readers, the fan-out and the heartbeat must end, too.
    eventually(lambda: threading.active_count() <= threads)


def test_the_end_of_a_stream_is_told(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: "ada")
    with StreamReader(app.test_client()) as stream:
        sse.send_to_user("ada", "notification", NOTE)
        assert stream.next().name == "notification"
        sse.remove_client("ada")
        assert stream.next().name == "sse-push-closing"
        with pytest.raises(EOFError):
            stream.next()


def test_an_answer_that_is_no_stream_fails(app: Flask, sse: SSEPush) -> None:
    sse.authorizer(lambda user_id: False)
    with pytest.raises(AssertionError, match=r"401 UNAUTHORIZED.*needs a user"):
        StreamReader(app.test_client())
    with pytest.raises(AssertionError, match="404"):
        StreamReader(app.test_client(), "/nowhere")


def test_a_route_of_one_s_own_and_headers(app: Flask, sse: SSEPush) -> None:
    from flask import request

    @app.get("/mine")
    def mine() -> Response:
        if request.headers.get("X-Token") != "t":
            abort(403)
        return sse.stream_response("ada", groups=["admins"])

    client = app.test_client()
    with StreamReader(client, "/mine", headers={"X-Token": "t"}) as stream:
        sse.send_to_group("admins", "notification", NOTE)
        assert stream.next().data["message"] == "Hi"
    with pytest.raises(AssertionError, match="403"):
        StreamReader(client, "/mine")


def test_a_client_in_a_with_block_and_middleware(app: Flask, sse: SSEPush) -> None:
    class Wrapped:
        def __init__(self, chunks: Any) -> None:
            self._chunks = chunks

        def __iter__(self) -> Iterator[bytes]:
            yield from self._chunks

        def close(self) -> None:
            self._chunks.close()

    inner: Any = app.wsgi_app

    def middleware(environ: Any, start_response: Any) -> Iterable[bytes]:
        return Wrapped(inner(environ, start_response))

    app.wsgi_app = middleware  # type: ignore[method-assign]
    with app.test_client() as client, StreamReader(client) as stream:
        sse.broadcast("notification", NOTE)
        assert stream.next().name == "notification"
        assert sse.get_client_count() == 1
    assert sse.get_client_count() == 0


def test_it_works_under_gevent() -> None:
    script = """
        from gevent import monkey
        monkey.patch_all()
        from flask import Flask
        from flask_sse_push import SSEPush
        from flask_sse_push.testing import StreamReader
        app = Flask("app")
        sse = SSEPush(app)
        with StreamReader(app.test_client()) as stream:
            try:
                stream.next(timeout=0.01)
            except TimeoutError:
                pass
            else:
                raise AssertionError("nothing was sent")
            sequence = sse.sequence("nobody", "n", [{}, {}], pause=0.01)
            sse.broadcast("n", {"n": 1})
            assert stream.next().data["n"] == 1
            assert sequence.wait(5)
            assert sse.get_client_count() == 1
        assert sse.get_client_count() == 0
        with StreamReader(app.test_client()) as stream:
            sse.broadcast("n", {"n": 2})
            assert stream.next().data["n"] == 2
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_streams_of_the_test_client_are_streamed(app: Flask, sse: SSEPush) -> None:
    response = app.test_client().get("/sse/stream")
    try:
        assert sse.get_client_count() == 1
        assert StreamedConnection.__name__ not in response.headers
    finally:
        response.close()
    assert sse.get_client_count() == 0


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_the_parser_follows_the_standard(size: int) -> None:
    text = (
        "\ufeff: comment\r\n"
        "retry: 10\nretry: x\n\n"
        "data\n\n"
        "data: first\rdata:second\r\ndata:  third\n\n"
        "event: never\nid: 1\n\n"
        'event: named\nid: 2\nunknown: x\ndata: {"ü": 1}\n\n'
        "id: 3\0\ndata: 3\n\n"
        "id\ndata: x\n\n"
        "data: incomplete\n"
    )
    wire = text.encode()
    parser = _Parser()
    events: list[ReceivedEvent] = []
    for start in range(0, len(wire), size):
        events += parser.feed(wire[start : start + size])
    assert events == [
        ReceivedEvent("message", "", None, 10),
        ReceivedEvent("message", "first\nsecond\n third", None, 10),
        ReceivedEvent("named", {"ü": 1}, "2", 10),
        ReceivedEvent("message", 3, "2", 10),
        ReceivedEvent("message", "x", "", 10),
    ]
