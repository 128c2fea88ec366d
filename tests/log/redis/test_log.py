"""The event log on a server that several workers write to and read from."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from flask_sse_push.events import START, Event, Removal
from flask_sse_push.log.redis import reader
from flask_sse_push.log.redis.reader import Nonces
from tests.log.redis.workers import Start, Worker, send, wait_for_count, wait_for_texts
from tests.support.clients import eventually
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis


def test_all_workers_get_all_events_in_one_order(start: Start) -> None:
    workers = [start(), start()]

    def send_hundred(worker: Worker, name: str) -> None:
        for number in range(100):
            send(worker, f"{name}{number}")

    threads = [
        threading.Thread(target=send_hundred, args=pair)
        for pair in zip(workers, "ab", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        wait_for_count(worker, 200)
    assert workers[0].texts == workers[1].texts
    assert [t for t in workers[0].texts if t[0] == "a"] == [f"a{n}" for n in range(100)]


def test_a_worker_that_starts_reads_the_retained_tail(start: Start) -> None:
    first = start()
    send(first, *[str(n) for n in range(2_500)])
    second = start()
    assert second.texts == [str(n) for n in range(2_500)]
    # The marker of the first worker is the start of the event log for both.
    assert first.receiver.restarts == second.receiver.restarts
    send(first, "live")
    eventually(lambda: second.texts[-1] == "live")


def test_workers_that_start_at_once_agree_on_the_beginning(
    shared: RedisServer, prefix: str, workers: list[Worker]
) -> None:
    workers += [Worker(shared.url, key_prefix=prefix) for _ in range(5)]
    for worker in workers:
        worker.backend.start(worker.receiver, worker.receiver)
    for worker in workers:
        assert worker.backend.wait_ready(5)
    assert len({tuple(worker.receiver.restarts) for worker in workers}) == 1
    assert shared.command("XLEN", f"{{{prefix}}}:log") == 1


def test_nothing_is_known_before_a_trimmed_logs_first_entry(
    start: Start, shared: RedisServer, prefix: str
) -> None:
    first = start()
    send(first, *[str(n) for n in range(10)])
    wait_for_count(first, 10)
    shared.command("XTRIM", f"{{{prefix}}}:log", "MAXLEN", "=", 4)
    second = start()
    assert second.texts == ["6", "7", "8", "9"]
    [base] = second.receiver.restarts
    [*_, gone, kept] = first.receiver.entries[:-3]
    assert gone.position <= base < kept.position


def test_the_log_is_bounded_by_count(
    start: Start, shared: RedisServer, prefix: str
) -> None:
    worker = start(log_size=100)
    for _ in range(10):
        send(worker, *["x"] * 100)
    assert 100 <= shared.command("XLEN", f"{{{prefix}}}:log") <= 300


def test_the_log_is_bounded_by_age(
    start: Start, shared: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{{{prefix}}}:log"
    now = time.time_ns() // 1_000_000
    for number in range(500):
        fields = ("c", "all", "e", "x", "d", "1")
        shared.command("XADD", key, f"{now - 100_000}-{number + 1}", *fields)
    monkeypatch.setattr(reader, "_TRIM_SECONDS", 0.0)
    worker = start(history_seconds=50)
    send(worker, "new")
    eventually(lambda: worker.texts[-1] == "new")
    eventually(lambda: shared.command("XLEN", key) <= 101)
    late = start()
    assert late.texts[-1] == "new"


def test_garbage_in_the_log_is_skipped(
    start: Start,
    shared: RedisServer,
    prefix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = start()
    garbage: list[dict[str | bytes, str | bytes]] = [
        {"c": "all"},
        {"x": "y"},
        {"c": "all", "e": "a\nb", "d": "x"},
        {"c": "all", "e": "", "d": "x"},
        {"c": "elsewhere", "e": "a", "d": "x"},
        {"c": "all", "e": "a", "d": b"\xff"},
        {b"\xff": b"\xff", "c": b"\x80", "e": "a", "d": "x"},
    ]
    for fields in garbage:
        words = [word for pair in fields.items() for word in pair]
        shared.command("XADD", f"{{{prefix}}}:log", "*", *words)
    send(worker, "after")
    eventually(lambda: worker.texts)
    assert worker.texts == ["after"]
    assert len(caplog.messages) == len(garbage)
    assert start().texts == ["after"]


def test_garbage_in_a_mailbox_is_skipped(
    start: Start, shared: RedisServer, prefix: str
) -> None:
    worker = start()
    # Of now: what is older than a mailbox keeps is not looked at.
    shared.command("XADD", f"{{{prefix}}}:mailbox:1", "*", "nonsense", "x")
    send(worker, "a", channel="user:1")
    [entry] = worker.backend.unread("1", START).entries
    assert b"data: a\n" in entry.frame
    assert worker.backend.acknowledge("1", entry.position) == 2


def test_removal_reaches_the_other_worker(start: Start) -> None:
    first, second = start(), start()
    first.backend.append([Removal.event("7")])
    eventually(lambda: second.receiver.removals)
    assert [removal.user for removal in second.receiver.removals] == ["user:7"]


def test_an_error_of_the_receiver_does_not_end_the_reading(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = start()
    deliver = worker.receiver.deliver

    def fail_once(entry: Any) -> None:
        monkeypatch.setattr(worker.receiver, "deliver", deliver)
        raise RuntimeError("once")

    monkeypatch.setattr(worker.receiver, "deliver", fail_once)
    send(worker, "a")
    send(worker, "b")
    eventually(lambda: "b" in worker.texts)
    assert "occurred while reading the event log (SSE_PUSH" in caplog.text


def test_nonces_are_remembered_up_to_a_bound() -> None:
    nonces = Nonces(3)
    assert [nonces.is_new(n) for n in "abcabcd"] == [True] * 3 + [False] * 3 + [True]
    assert not nonces.is_new("b")
    assert nonces.is_new("a")


def test_scripts_forgotten_by_the_server_are_sent_again(
    start: Start, shared: RedisServer
) -> None:
    worker = start()
    send(worker, "a")
    shared.command("SCRIPT", "FLUSH")
    send(worker, "b", channel="user:1")
    wait_for_texts(worker, ["a", "b"])


def test_log_and_mailbox_share_the_id_and_a_cluster_slot(
    start: Start, shared: RedisServer, prefix: str
) -> None:
    worker = start(mailbox_seconds=100)
    send(worker, "a", channel="user:{x}")
    keys = [key.decode() for key in shared.command("KEYS", f"*{prefix}*")]
    assert len({shared.command("CLUSTER", "KEYSLOT", key) for key in keys}) == 1
    mailbox = f"{{{prefix}}}:mailbox:{{x}}"
    log: Any = shared.command("XRANGE", f"{{{prefix}}}:log", "-", "+")
    [[id, _]] = shared.command("XRANGE", mailbox, "-", "+")
    [*_, [logged, _]] = log
    assert id == logged
    # Twice as long as it gives events out, so that it can tell of those it let go.
    assert 190_000 < shared.command("PTTL", mailbox) <= 200_000


def test_an_old_mailbox_entry_is_not_given_out(
    start: Start, shared: RedisServer, prefix: str
) -> None:
    worker = start(mailbox_seconds=100)
    old = time.time_ns() // 1_000_000 - 101_000
    fields = ("c", "user:1", "e", "x", "d", "old")
    shared.command("XADD", f"{{{prefix}}}:mailbox:1", f"{old}-1", *fields)
    send(worker, "new", channel="user:1")
    [entry] = worker.backend.unread("1", START).entries
    assert b"data: new" in entry.frame


def test_one_batch_is_one_round_trip(start: Start, shared: RedisServer) -> None:
    worker = start()
    send(worker, "warm", channel="user:1")

    def calls() -> int:
        return int(shared.client.info("commandstats")["cmdstat_evalsha"]["calls"])

    before = calls()
    events = [Event(data=str(n), channel=f"user:{n % 5}") for n in range(500)]
    assert len(worker.backend.append(events)) == 500
    assert calls() == before + 1
