"""Events leave a mailbox when they have been delivered, under every server."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.support.clients import Stream, call, eventually
from tests.support.redis_server import RedisServer
from tests.support.servers import KINDS, Server, serve

pytestmark = pytest.mark.server

_SETTINGS = {"SSE_PUSH_HEARTBEAT_SECONDS": "0.4"}


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param, environ=_SETTINGS) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def explicit(request: pytest.FixtureRequest) -> Iterator[Server]:
    environ = {**_SETTINGS, "SSE_PUSH_ACKNOWLEDGE": "explicit"}
    with serve(request.param, environ=environ) as server:
        yield server


def send(server: Server, user: str, number: int, **options: object) -> str:
    order = {"channel": f"user:{user}", "event": "n", "data": {"n": number}}
    status, answer, _ = call(server, "POST", "/send", {**order, **options})
    assert status == 200, answer
    return str(answer["id"])


def numbers(stream: Stream) -> list[int]:
    return [data["n"] for name, _, data in stream.events if name == "n"]


def unread(server: Server, user: str) -> list[int]:
    """What a new page of the user opens with; it is cut off before it counts."""
    with Stream(server, user=user) as stream:
        send(server, user, -2, store=False)
        stream.read_until(lambda s: -2 in numbers(s))
        reset(stream)
        return [number for number in numbers(stream) if number >= 0]


def mailbox_length(redis_server: RedisServer) -> int:
    [key] = redis_server.client.keys("*:mailbox:2")
    return int(redis_server.client.xlen(key))


def reset(stream: Stream) -> None:
    """Break a connection off as a browser that is killed does, or a network."""
    stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.response.close()
    stream.sock.close()


def test_what_was_delivered_does_not_come_again(server: Server) -> None:
    send(server, "2", 0)
    send(server, "2", 1)
    with Stream(server, user="2") as stream:
        stream.read_until(lambda s: numbers(s) == [0, 1])
        send(server, "2", 2)
        # The stream stays open: in time that is certain for all of them.
        eventually(lambda: stream.pump() and unread(server, "2") == [], 20)
        assert numbers(stream)[:3] == [0, 1, 2]
    assert unread(server, "2") == []


def test_what_a_broken_connection_may_not_have_got_comes_again(server: Server) -> None:
    send(server, "4", 0)
    for _ in range(3):
        with Stream(server, user="4") as stream:
            stream.read_until(lambda s: numbers(s) == [0])
            reset(stream)
    assert unread(server, "4") == [0]


def test_a_cursor_that_comes_back_confirms_all_up_to_it(server: Server) -> None:
    ids = [send(server, "6", number) for number in range(3)]
    with Stream(server, user="6") as stream:
        stream.read_until(lambda s: numbers(s) == [0, 1, 2])
        reset(stream)
    with Stream(server, user="6", last_id=ids[1]) as stream:
        stream.read_until(lambda s: numbers(s) == [2])
        reset(stream)
    eventually(lambda: unread(server, "6") == [2])


def test_a_forged_cursor_of_the_future_confirms_nothing_that_comes(
    server: Server,
) -> None:
    ms = int(send(server, "7", 0).partition("-")[0])
    with Stream(server, user="7", last_id=f"{ms + 5_000}-0") as stream:
        stream.read_opening()
        reset(stream)
    send(server, "7", 1)
    assert 1 in unread(server, "7")


def test_a_second_device_gets_what_the_first_was_just_given(server: Server) -> None:
    with Stream(server, user="8") as first:
        first.read_opening()
        send(server, "8", 0)
        first.read_until(lambda s: numbers(s) == [0])
        with Stream(server, user="8") as second:
            second.read_until(lambda s: numbers(s) == [0])


def test_an_event_need_not_wait_for_the_absent(server: Server) -> None:
    with Stream(server, user="10") as stream:
        cursor = stream.read_opening().last_id
        reset(stream)
    send(server, "10", 0, mailbox=False)
    send(server, "10", 1)
    assert unread(server, "10") == [1]
    with Stream(server, user="10", last_id=cursor) as stream:
        stream.read_until(lambda s: numbers(s) == [0, 1])


def test_a_mailbox_that_has_let_go_of_events_says_so_once(server: Server) -> None:
    ids = [send(server, "12", number) for number in range(103)]
    with Stream(server, user="12") as stream:
        stream.read_until(lambda s: len(numbers(s)) == 100)
        assert numbers(stream) == list(range(3, 103))
        assert stream.events[0] == (
            "sse-push-gap",
            None,
            {"since": None, "oldest": ids[2]},
        )
        eventually(lambda: stream.pump() and unread(server, "12") == [], 20)
    with Stream(server, user="12") as stream:
        send(server, "12", 200)
        stream.read_until(lambda s: numbers(s) == [200])
        assert [name for name, _, _ in stream.events] == ["n"]


def test_explicit_events_stay_until_they_are_acknowledged(explicit: Server) -> None:
    sent = [send(explicit, "28", number) for number in range(3)]
    with Stream(explicit, user="28") as stream:
        stream.read_until(lambda s: numbers(s) == [0, 1, 2])
        # Heartbeats show that the client is there and reads; that is no word of it.
        stream.read_until(lambda s: s.raw.count(b"\n:") >= 8)
    with Stream(explicit, user="28", last_id=sent[0]) as stream:
        stream.read_until(lambda s: numbers(s) == [1, 2])
    assert unread(explicit, "28") == [0, 1, 2]
    answer = call(explicit, "POST", "/sse/ack?user=28", {"id": sent[1]})
    assert answer[:2] == (200, {"removed": 2})
    assert unread(explicit, "28") == [2]


@pytest.mark.redis
def test_the_next_page_on_another_worker_shows_nothing_again() -> None:
    with (
        RedisServer() as redis_server,
        serve(
            "gunicorn-gevent",
            arguments=("-w", "2"),
            environ={**_SETTINGS, "SSE_PUSH_BACKEND_URL": redis_server.url},
        ) as server,
    ):
        shown: list[int] = []
        for number in range(20):
            with Stream(server, user="2") as stream:
                send(server, "2", number)
                stream.read_until(lambda s, n=number: n in numbers(s))  # type: ignore[misc]
                shown += numbers(stream)
                # Nobody leaves a page that has just shown something.
                stream.read_until(lambda s: s.raw.count(b"\n:") >= 2)
            # The worker that had the stream tells at once, not in its next round.
            eventually(lambda: mailbox_length(redis_server) == 0)
        assert shown == list(range(20))


@pytest.mark.redis
def test_many_deliveries_are_few_commands() -> None:
    with (
        RedisServer() as redis_server,
        serve(
            "gunicorn-gevent",
            environ={**_SETTINGS, "SSE_PUSH_BACKEND_URL": redis_server.url},
        ) as server,
        Stream(server, user="2") as stream,
    ):
        stream.read_opening()
        call(server, "POST", "/burst/2/500")
        stream.read_until(lambda s: len(numbers(s)) == 500)
        eventually(lambda: mailbox_length(redis_server) == 0)
        stats = redis_server.client.info("commandstats")
        assert stats["cmdstat_xadd"]["calls"] >= 1000
        assert stats["cmdstat_xtrim"]["calls"] <= 20
