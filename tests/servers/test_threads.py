"""Streams do not eat the server's threads, whatever the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clients import Stream, call, eventually
from tests.support.servers import HANDED_OFF, Server, serve

pytestmark = pytest.mark.server

# No heartbeat helps within a test.
SILENT = {"SSE_PUSH_HEARTBEAT_SECONDS": "60"}
STREAMED = {**SILENT, "SSE_PUSH_HANDOFF": "off"}
#: Started with four threads or greenlets: the kind, and more of its command line.
FOUR_THREADS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("gunicorn-gevent", ("--worker-connections", "4")),
    ("gunicorn-gthread", ("--threads", "4")),
    ("waitress", ()),
    ("uwsgi", ("--threads", "4")),
)


@pytest.fixture(scope="module", params=HANDED_OFF)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param, environ=SILENT) as server:
        yield server


def carriers(server: Server) -> dict[str, int]:
    found: dict[str, int] = call(server, "GET", "/state")[1]["health"]["carriers"]
    return found


def send(server: Server, channel: str, number: int) -> None:
    order = {"channel": channel, "event": "n", "data": {"n": number}}
    assert call(server, "POST", "/send", order)[0] == 200


def test_far_more_streams_than_threads_and_the_server_answers(server: Server) -> None:
    count = 60
    streams = [Stream(server).read_opening() for _ in range(count)]
    assert call(server, "GET", "/ping")[:2] == (200, "ok")
    assert carriers(server) == {"handed-off": count, "streamed": 0}
    send(server, "all", 1)
    for stream in streams:
        assert stream.read_events(1)[0][2]["n"] == 1
        stream.close()
    eventually(lambda: carriers(server) == {"handed-off": 0, "streamed": 0})


def test_fifty_pages_one_after_the_other_each_with_a_stream(server: Server) -> None:
    stream: Stream | None = None
    for number in range(50):
        assert call(server, "GET", "/page")[0] == 200
        # A browser closes the old page's stream when the new page has come.
        if stream is not None:
            stream.close()
        stream = Stream(server, user="2").read_opening()
        if number % 10 == 0:
            send(server, "user:2", number)
            stream.read_until(lambda s: any(d.get("n") == number for *_, d in s.events))  # noqa: B023
    assert stream is not None
    stream.close()
    eventually(lambda: carriers(server)["handed-off"] == 0)
    assert "Traceback" not in server.log()


def test_what_middleware_adds_to_the_head_reaches_the_client() -> None:
    with serve("gunicorn-gevent-wrapped") as server, Stream(server, user="2") as stream:
        assert stream.response.headers["X-Wrapped"] == "yes"
        assert stream.response.headers["Content-Type"].startswith("text/event-stream")
        stream.read_opening()
        assert carriers(server)["handed-off"] == 1


@pytest.mark.parametrize("kind", ["gunicorn-gevent", "gunicorn-gthread", "waitress"])
def test_middleware_that_answers_something_else_is_obeyed(kind: str) -> None:
    with serve(kind, target="tests.support.webapp:replacing") as server:
        assert call(server, "GET", "/sse/stream")[:2] == (200, "replaced")
        assert carriers(server) == {"handed-off": 0, "streamed": 0}


@pytest.mark.parametrize("kind", ["gunicorn-gevent", "gunicorn-sync"])
def test_middleware_that_collects_the_body_first_does_no_harm(kind: str) -> None:
    environ = {"SSE_PUSH_HEARTBEAT_SECONDS": "60"}
    target = "tests.support.webapp:profiled"
    with serve(kind, target=target, environ=environ) as server:
        for _ in range(3):
            with Stream(server, user="2") as stream:
                stream.read_opening()
                assert carriers(server)["handed-off"] == 1
            eventually(lambda: carriers(server)["handed-off"] == 0)


@pytest.mark.parametrize(("kind", "arguments"), FOUR_THREADS)
def test_streams_never_take_the_last_threads(
    kind: str, arguments: tuple[str, ...]
) -> None:
    with serve(kind, environ=STREAMED, arguments=arguments) as server:
        streams = [Stream(server, user="2").read_opening() for _ in range(3)]
        assert carriers(server) == {"handed-off": 0, "streamed": 3}
        with Stream(server, user="2") as refused:
            assert refused.response.status == 200
            while refused.pump():
                pass
            assert refused.raw.startswith(b"retry: ")
            assert b"threads" in refused.raw
        assert call(server, "GET", "/ping")[:2] == (200, "ok")
        for stream in streams:
            stream.close()
        # Noticed although nothing is written.
        eventually(lambda: carriers(server)["streamed"] == 0)
        with Stream(server, user="2") as stream:
            stream.read_opening()
            send(server, "user:2", 1)
            assert stream.read_events(1)[0][2]["n"] == 1


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("gunicorn-sync", "-k gthread --threads N"),
        ("flask-run-one-thread", "without '--without-threads'"),
        ("uwsgi", "'--threads N'"),
        ("wsgiref", "several threads"),
    ],
)
def test_one_thread_without_hand_off_is_refused_with_a_remedy(
    kind: str, remedy: str
) -> None:
    with serve(kind, environ=STREAMED) as server:
        assert call(server, "GET", "/sse/stream?user=2")[0] == 500
        assert "one stream would block all other requests" in server.log()
        assert remedy in server.log()
        assert call(server, "GET", "/ping")[:2] == (200, "ok")


@pytest.mark.parametrize("handoff", ["auto", "off"])
def test_the_streams_line_in_the_log_names_the_carrier(handoff: str) -> None:
    environ = {"SSE_PUSH_HANDOFF": handoff, "TEST_LOG_LEVEL": "INFO"}
    with serve("flask-run", environ=environ) as server:
        Stream(server, user="2").read_opening().close()
        carrier = "handed-off" if handoff == "auto" else "streamed"
        line = f"stream ended: user=2 carrier={carrier} reason=gone"
        eventually(lambda: line in server.log())
