"""Outages: no event is lost without a gap or duplicated."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from flask_sse_push.events import CONTROL, format_id
from flask_sse_push.log.redis import reader
from tests.log.redis.workers import (
    Start,
    Worker,
    send,
    send_when_possible,
    wait_for_count,
    wait_for_restart,
    wait_for_texts,
)
from tests.support.clients import eventually
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis


# The event log's newest entry is an hour ahead of this clock.
_AHEAD_MS = 3_600_000


def test_a_restart_with_data_loses_and_doubles_nothing(
    server: RedisServer, start_on: Start
) -> None:
    workers = [start_on(), start_on()]
    send(workers[0], "a", "b")
    server.restart()
    send_when_possible(workers[1], "c")
    for worker in workers:
        wait_for_texts(worker, ["a", "b", "c"])
        assert len(worker.receiver.restarts) == 1


def test_killed_connections_lose_and_double_nothing(
    server: RedisServer, start_on: Start
) -> None:
    workers = [start_on(), start_on()]
    for number in range(200):
        if number % 10 == 0:
            server.kill_clients()
        send_when_possible(workers[number % 2], str(number))
    for worker in workers:
        wait_for_count(worker, 200)
        assert worker.texts == [str(number) for number in range(200)]


def test_a_server_that_comes_back_empty_is_a_gap(
    server: RedisServer, start_on: Start
) -> None:
    workers = [start_on(), start_on()]
    send(workers[0], "a")
    for worker in workers:
        wait_for_texts(worker, ["a"])
    last = workers[0].receiver.entries[-1].position
    server.stop()
    server.erase()
    server.start()
    for worker in workers:
        wait_for_restart(worker)
        assert worker.receiver.restarts[1] > last
    # Both workers get the same marker.
    assert workers[0].receiver.restarts[1] == workers[1].receiver.restarts[1]
    send(workers[0], "b")
    for worker in workers:
        wait_for_texts(worker, ["a", "b"])
        assert worker.receiver.entries[-1].position > worker.receiver.restarts[1]


def test_events_sent_before_a_reader_is_back_are_delivered(
    server: RedisServer, start_on: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start_on()
    send(worker, "a")
    wait_for_texts(worker, ["a"])
    held = threading.Event()
    monkeypatch.setattr(reader, "sleep", lambda seconds: held.wait(8))
    server.stop()
    server.erase()
    server.start()
    other = Worker(server.url, key_prefix="unused")
    other.backend._log._keys = (
        worker.backend._keys
    )  # like a publisher, which does not read
    send(other, "b")
    held.set()
    wait_for_texts(worker, ["a", "b"])
    assert len(worker.receiver.restarts) == 2
    assert worker.receiver.restarts[1] < worker.receiver.entries[-1].position
    other.backend.stop()


@pytest.mark.parametrize("method", ["restart", "delete"])
def test_ids_grow_when_the_clock_is_behind(
    server: RedisServer, start_on: Start, prefix: str, method: str
) -> None:
    key = f"{{{prefix}}}:log"
    ahead = time.time_ns() // 1_000_000 + _AHEAD_MS
    server.command("XADD", key, f"{ahead}-7", "c", "all", "e", "x", "d", "a")
    workers = [start_on(), start_on()]
    for worker in workers:
        assert worker.texts == ["a"]
    if method == "restart":
        server.stop()
        server.erase()
        server.start()
    else:
        # No error shows it; a reader that gets nothing checks its position.
        server.command("DEL", key)
    for worker in workers:
        wait_for_restart(worker)
    send(workers[0], "b")
    for worker in workers:
        wait_for_texts(worker, ["a", "b"])
        a, b = (e.position for e in worker.receiver.entries if e.channel != CONTROL)
        assert a == (ahead, 7)
        # A client that has seen everything up to "a" is told of the gap, too.
        assert a < worker.receiver.restarts[-1] < b


def test_a_log_that_lost_its_end_is_a_gap(
    server: RedisServer, start_on: Start, prefix: str
) -> None:
    key = f"{{{prefix}}}:log"
    behind, ahead = start_on(), start_on()
    send(behind, "a", "b")
    wait_for_texts(ahead, ["a", "b"])
    last = ahead.receiver.entries[-1].position
    # After a failover to a replica that was behind, "b" does not exist.
    server.client.xdel(key, format_id(last))
    server.kill_clients()
    for worker in (behind, ahead):
        wait_for_restart(worker)
        assert worker.receiver.restarts[-1] > last
    send_when_possible(behind, "c")
    eventually(lambda: ahead.texts[-1] == "c")
    assert ahead.receiver.entries[-1].position > ahead.receiver.restarts[-1]


def test_a_reader_overtaken_by_the_trimming_says_so(
    shared: RedisServer, start: Start, prefix: str
) -> None:
    worker = start(log_size=50)
    # Delay the reader of this worker only.
    is_held, hold = threading.Event(), threading.Event()
    deliver = worker.receiver.deliver

    def wait(entry: Any) -> None:
        is_held.set()
        hold.wait(8)
        deliver(entry)

    worker.receiver.deliver = wait  # type: ignore[method-assign]
    send(worker, "0")
    assert is_held.wait(5)
    for start_number in range(0, 1_000, 100):
        send(worker, *[str(n) for n in range(start_number, start_number + 100)])
    hold.set()
    eventually(lambda: worker.texts and worker.texts[-1] == "999")
    entries = [e for e in worker.receiver.entries if e.channel != CONTROL]
    pairs = [(int(a), int(b)) for a, b in pairwise(worker.texts)]
    jumps = [n for n, (a, b) in enumerate(pairs) if b != a + 1]
    assert jumps
    for n in jumps:
        assert pairs[n][1] > pairs[n][0]
        before, after = entries[n].position, entries[n + 1].position
        assert any(before < base < after for base in worker.receiver.restarts)


def test_a_repeat_after_a_loss_is_no_repeat(
    server: RedisServer, start_on: Start
) -> None:
    worker = start_on()
    send(worker, "a", nonce="n")
    wait_for_texts(worker, ["a"])
    server.stop()
    server.erase()
    server.start()
    wait_for_restart(worker)
    send(worker, "a", nonce="n")
    wait_for_texts(worker, ["a", "a"])
