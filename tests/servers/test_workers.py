"""Several worker processes over one Redis behave like one application."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.clients import Stream, call, eventually
from tests.support.redis_server import RedisServer
from tests.support.servers import Server, serve

pytestmark = [pytest.mark.server, pytest.mark.redis]

STREAMS = 24


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["gunicorn-gevent", "gunicorn-gthread"])
def server(
    request: pytest.FixtureRequest, redis_server: RedisServer
) -> Iterator[Server]:
    """Each test has its own: workers that one has killed count for 15 s as present."""
    with serve(
        request.param,
        arguments=("-w", "3", "--preload", "--graceful-timeout", "2"),
        environ={
            "SSE_PUSH_BACKEND_URL": redis_server.url,
            "SSE_PUSH_KEY_PREFIX": request.node.name,
        },
    ) as server:
        eventually(lambda: len(server.workers()) == 3)
        yield server


@contextlib.contextmanager
def only(pid: int, server: Server) -> Iterator[None]:
    """Stop all workers but one, so that it handles all requests."""
    others = server.workers() - {pid}
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


@contextlib.contextmanager
def open_streams(server: Server, user: str) -> Iterator[list[Stream]]:
    """Open some streams on each worker."""
    with contextlib.ExitStack() as stack:
        streams = []
        for pid in server.workers():
            with only(pid, server):
                for _ in range(STREAMS // 3):
                    stream = stack.enter_context(Stream(server, user=user))
                    streams.append(stream.read_opening())
        yield streams


def counts(server: Server) -> set[int]:
    """The number of all connections, as each worker reports it."""
    found = set()
    for pid in server.workers():
        with only(pid, server):
            found.add(call(server, "GET", "/state")[1]["count"])
    return found


def test_all_workers_serve_one_application(server: Server) -> None:
    with open_streams(server, "2") as streams:
        eventually(lambda: counts(server) == {STREAMS})
        assert call(server, "GET", "/state")[1]["users"] == ["2"]
        for channel in ("all", "user:2", "group:even"):
            call(
                server,
                "POST",
                "/send",
                {"channel": channel, "event": "e", "data": {"to": channel}},
            )
        for stream in streams:
            stream.read_until(lambda s: len(s.events) == 3)
            # Each request went to another worker; all clients must see the same order.
            assert {data["to"] for _, _, data in stream.events} == {
                "all",
                "user:2",
                "group:even",
            }
        assert len({tuple(id for _, id, _ in stream.events) for stream in streams}) == 1
        call(server, "POST", "/remove/2")
        for stream in streams:
            while stream.pump():
                pass
            assert stream.events[-1] == (
                "sse-push-closing",
                None,
                {"reason": "removed"},
            )
    eventually(lambda: counts(server) == {0})


def test_a_stream_resumes_on_a_worker_that_has_just_started(server: Server) -> None:
    send = {"channel": "user:7", "event": "e", "data": {"n": 1}}
    with Stream(server, user="7") as stream:
        stream.read_opening()
        call(server, "POST", "/send", send)
        stream.read_until(lambda s: bool(s.events))
    # An URGENT event is in the event log when the request is answered.
    urgent = {**send, "data": {"n": 2}, "priority": "urgent"}
    missed = call(server, "POST", "/send", urgent)[1]["id"]
    before = server.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(server.workers()) == 3 and not server.workers() & before)
    with Stream(server, user="7", last_id=stream.last_id) as resumed:
        resumed.read_until(lambda s: bool(s.events))
        [(name, id, data)] = resumed.events
        assert (name, id, data["n"]) == ("e", missed, 2)
