"""Retained events in Redis: for every worker, also one that starts later."""

from __future__ import annotations

import pytest

from flask_sse_push.events import ALL, START, Event, format_id, parse_channel
from flask_sse_push.log.redis.server import Command, Server
from tests.log.redis.workers import Start, Worker
from tests.support.clients import eventually
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis


def texts(worker: Worker, channel: str = "all") -> list[str]:
    entries = worker.backend.retained([parse_channel(channel)])
    return [entry.frame.decode().split("data: ")[1].strip() for entry in entries]


def test_a_worker_that_starts_later_has_what_was_retained(
    start: Start, shared: RedisServer, prefix: str
) -> None:
    first = start()
    first.backend.append(
        [
            Event(data="1", retain="a"),
            Event(data="2", retain="b", channel="group:g"),
            Event(data="3", retain="a"),
        ]
    )
    # The log itself has let go of it.
    shared.command("XTRIM", f"{{{prefix}}}:log", "MAXLEN", "0")
    first.backend.stop()
    second = start()
    assert texts(second) == ["3"]
    assert texts(second, "group:g") == ["2"]
    for key in ("retained:all", "retained-ids:group:g", "retaining"):
        assert shared.command("PTTL", f"{{{prefix}}}:{key}") > 0


def test_what_another_worker_retains_is_found_by_one_that_knew_of_nothing(
    start: Start,
) -> None:
    first, second = start(), start()
    assert texts(first) == []
    [position] = second.backend.append([Event(data="1", retain="a")])
    eventually(lambda: first.receiver.entries)
    assert [e.position for e in first.backend.retained([ALL])] == [position]


def test_where_nothing_is_retained_a_stream_asks_once_at_most(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start()
    asked: list[Command] = []
    call = Server.call

    def note(server: Server, *commands: Command) -> list[object]:
        asked.extend(c for c in commands if c[0] in ("EXISTS", "XRANGE"))
        return call(server, *commands)

    with monkeypatch.context() as patch:
        patch.setattr(Server, "call", note)
        for _ in range(3):
            worker.backend._retained.after([ALL], START)
    # Presence asks for its own key now and then.
    assert len([c for c in asked if "retain" in str(c[1])]) == 1


def test_only_so_many_keys_are_held(
    start: Start, shared: RedisServer, prefix: str
) -> None:
    worker = start(retained_size=5)
    for number in range(50):
        worker.backend.append(
            [Event(data=str(number), retain=f"key {number % 20}", nonce=f"n{number}")]
        )
    assert texts(worker) == ["45", "46", "47", "48", "49"]
    assert shared.command("HLEN", f"{{{prefix}}}:retained-ids:all") == 5
    assert shared.command("XLEN", f"{{{prefix}}}:retained:all") == 5


def test_the_state_of_another_log_is_dropped(
    start: Start, shared: RedisServer, prefix: str
) -> None:
    worker = start()
    worker.backend.append([Event(data="1", retain="a"), Event(data="2", retain="b")])
    # As where Redis has lost its log, and its clock was set back.
    ahead = format_id((2**44, 0))
    key = f"{{{prefix}}}:retained:all"
    shared.command("XADD", key, ahead, "c", "all", "e", "e", "d", "3", "r", "c")
    [position] = worker.backend.append([Event(data="4", retain="b")])
    assert texts(worker) == ["4"]
    assert [e.position for e in worker.backend.retained([ALL])] == [position]


def test_what_is_no_event_is_skipped(
    start: Start, shared: RedisServer, prefix: str
) -> None:
    worker = start()
    worker.backend.append([Event(data="1", retain="a")])
    shared.command("XADD", f"{{{prefix}}}:retained:all", "*", "x", "y")
    assert texts(worker) == ["1"]
