"""Retained events through real servers, over a restart of all workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.clients import Stream, call, eventually
from tests.support.redis_server import RedisServer
from tests.support.servers import Server, serve

pytestmark = [pytest.mark.server, pytest.mark.redis]


@pytest.fixture(scope="module", params=["gunicorn-gevent", "gunicorn-gthread"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with (
        RedisServer() as redis_server,
        serve(
            request.param,
            arguments=("-w", "2", "--graceful-timeout", "1"),
            environ={"SSE_PUSH_BACKEND_URL": redis_server.url},
        ) as server,
    ):
        eventually(lambda: len(server.workers()) == 2)
        yield server


def send(server: Server, n: int, channel: str, **options: object) -> str:
    """Send an event that is in the log when this returns; its id."""
    body = {"channel": channel, "event": "e", "data": {"n": n}, "priority": "urgent"}
    id: str = call(server, "POST", "/send", {**body, **options})[1]["id"]
    return id


def numbers(server: Server, user: str, last_id: str | None = None) -> list[int]:
    """What a stream is given up to an event that comes last of all."""
    with Stream(server, user=user, last_id=last_id) as stream:
        stream.read_until(lambda s: b"retry: " in s.raw)
        send(server, -1, f"user:{user}", store=False)
        stream.read_until(lambda s: bool(s.events) and s.events[-1][2]["n"] == -1)
        ids = [id for _, id, _ in stream.events]
        assert len(ids) == len(set(ids))
        return [data["n"] for _, _, data in stream.events[:-1]]


def test_every_worker_gives_the_newest_of_each_key(server: Server) -> None:
    send(server, 1, "group:even", retain="score")
    send(server, 2, "all", retain="status")
    newest = send(server, 3, "group:even", retain="score")
    for _ in range(4):
        assert numbers(server, "2") == [2, 3]
        assert numbers(server, "3") == [2]
        assert numbers(server, "2", newest) == []
    before = server.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(server.workers()) == 2 and not server.workers() & before)
    for _ in range(4):
        assert numbers(server, "2") == [2, 3]
