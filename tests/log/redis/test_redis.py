"""What only a log on a server has: other workers, outages, trimming, other people."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import select
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from flask_sse_push.config import Config
from flask_sse_push.errors import BackendError, ConfigError
from flask_sse_push.events import CONTROL, START, Event, format_id
from flask_sse_push.log.redis import RedisBackend, presence, reader
from flask_sse_push.log.redis.reader import Nonces
from flask_sse_push.log.redis.server import Script, Server
from tests.support.clients import eventually
from tests.support.receiver import Recorder
from tests.support.redis_server import RedisServer, free_port
from tests.support.servers import ROOT

pytestmark = pytest.mark.redis

_prefixes = (f"r{number}" for number in count())
# A clock that is behind what the log has seen: an hour from now.
_AHEAD_MS = 3_600_000


class Worker:
    """One process's backend and what it has received."""

    def __init__(self, url: str, **options: Any) -> None:
        self.receiver = Recorder()
        self.backend = RedisBackend(Config(backend_url=url, **options))

    def start(self) -> Worker:
        self.backend.start(self.receiver)
        assert self.backend.wait_ready(5)
        return self

    @property
    def texts(self) -> list[str]:
        return self.receiver.texts


Start = Callable[..., Worker]


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """A server for tests that do it no harm."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of the test's own, to be ended and restarted."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return next(_prefixes)


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    workers: list[Worker] = []
    yield workers
    for worker in workers:
        worker.backend.stop()


@pytest.fixture
def start(shared: RedisServer, prefix: str, workers: list[Worker]) -> Start:
    """Starts workers on the shared server."""

    def make(url: str = shared.url, **options: Any) -> Worker:
        worker = Worker(url, **{"key_prefix": prefix, **options})
        workers.append(worker)
        return worker.start()

    return make


@pytest.fixture
def start_on(server: RedisServer, start: Start) -> Start:
    """Starts workers on the test's own server."""

    def make(**options: Any) -> Worker:
        return start(server.url, **options)

    return make


def send(worker: Worker, *texts: str, **options: Any) -> None:
    worker.backend.append([Event(data=text, **options) for text in texts])


def send_when_possible(worker: Worker, text: str) -> None:
    """Append one event as the outbox does: again, with the same nonce."""
    end = time.monotonic() + 8
    while True:
        try:
            return send(worker, text, nonce=f"once {text}")
        except BackendError:
            assert time.monotonic() < end
            time.sleep(0.02)


def wait_for_texts(worker: Worker, texts: list[str]) -> None:
    eventually(lambda: worker.texts == texts)


def wait_for_count(worker: Worker, count: int) -> None:
    eventually(lambda: len(worker.texts) == count)


def wait_for_restart(worker: Worker) -> None:
    """Wait for a gap after the beginning."""
    eventually(lambda: len(worker.receiver.restarts) >= 2)


def wait_for_clients(worker: Worker, count: int) -> None:
    """Within what is promised: two seconds."""
    eventually(lambda: worker.backend.client_count() == count, seconds=2)


# The log, over several workers.


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
    # The marker the first worker made is the beginning of the log for both.
    assert first.receiver.restarts == second.receiver.restarts
    send(first, "live")
    eventually(lambda: second.texts[-1] == "live")


def test_workers_that_start_at_once_agree_on_the_beginning(
    shared: RedisServer, prefix: str, workers: list[Worker]
) -> None:
    workers += [Worker(shared.url, key_prefix=prefix) for _ in range(5)]
    for worker in workers:
        worker.backend.start(worker.receiver)
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
    shared.command("XADD", f"{{{prefix}}}:mailbox:1", "1-1", "nonsense", "x")
    send(worker, "a", channel="user:1")
    [entry] = worker.backend.unread("1", START)
    assert b"data: a\n" in entry.frame
    assert worker.backend.acknowledge("1", entry.position) == 2


def test_removal_reaches_the_other_worker(start: Start) -> None:
    first, second = start(), start()
    send(first, '{"remove":"7"}', name="remove", channel=CONTROL, store=False)
    eventually(lambda: second.receiver.entries)
    assert json.loads(second.receiver.entries[0].frame) == {"remove": "7"}


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
    assert "Reading the log failed" in caplog.text


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
    assert 90_000 < shared.command("PTTL", mailbox) <= 100_000


def test_an_old_mailbox_entry_is_not_given_out(
    start: Start, shared: RedisServer, prefix: str
) -> None:
    worker = start(mailbox_seconds=100)
    old = time.time_ns() // 1_000_000 - 101_000
    fields = ("c", "user:1", "e", "x", "d", "old")
    shared.command("XADD", f"{{{prefix}}}:mailbox:1", f"{old}-1", *fields)
    send(worker, "new", channel="user:1")
    [entry] = worker.backend.unread("1", START)
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


# Outages.


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
    # One marker for both.
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
    other.backend._log._keys = worker.backend._keys  # a publisher: reads nothing
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
        # Nothing breaks; a reader that waits in vain looks for its place.
        server.command("DEL", key)
    for worker in workers:
        wait_for_restart(worker)
    send(workers[0], "b")
    for worker in workers:
        wait_for_texts(worker, ["a", "b"])
        a, b = (e.position for e in worker.receiver.entries if e.channel != CONTROL)
        assert a == (ahead, 7)
        # Also who has seen all up to "a" is told of the gap.
        assert a < worker.receiver.restarts[-1] < b


def test_a_log_that_lost_its_end_is_a_gap(
    server: RedisServer, start_on: Start, prefix: str
) -> None:
    key = f"{{{prefix}}}:log"
    behind, ahead = start_on(), start_on()
    send(behind, "a", "b")
    wait_for_texts(ahead, ["a", "b"])
    last = ahead.receiver.entries[-1].position
    # What a failover to a replica that was behind leaves: "b" never happened.
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
    # Holds up the reader of this worker alone.
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


def test_an_outage_is_logged_once_and_commands_fail_within_their_bound(
    server: RedisServer, start_on: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_sse_push")
    worker = start_on()
    send(worker, "a")
    server.pause()
    begin = time.monotonic()
    with pytest.raises(BackendError, match="Redis: "):
        send(worker, "b")
    assert time.monotonic() - begin < 2.5
    server.stop()
    begin = time.monotonic()
    for ask in (
        lambda: send(worker, "c"),
        worker.backend.client_count,
        lambda: worker.backend.unread("1", START),
        lambda: worker.backend.acknowledge("1", START),
    ):
        with pytest.raises(BackendError):
            ask()
    assert time.monotonic() - begin < 2
    assert worker.backend.health()["reachable"] is False
    time.sleep(0.3)  # many tries
    warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert [r.getMessage()[:25] for r in warnings] == ["The log cannot be read; t"]
    server.start()
    eventually(lambda: worker.backend.health()["reachable"])
    assert "The log can be read again" in caplog.messages


def test_a_worker_starts_without_a_server_and_is_ready_when_it_comes(
    workers: list[Worker],
) -> None:
    server = RedisServer()
    worker = Worker(server.url)
    workers.append(worker)
    begin = time.monotonic()
    worker.backend.start(worker.receiver)
    assert time.monotonic() - begin < 0.5
    assert not worker.backend.wait_ready(0.1)
    with server:
        assert worker.backend.wait_ready(8)


_LAST_WORDS = """
import sys
from flask import Flask
from flask_sse_push import SSEPush

app = Flask(__name__)
app.config.update(SSE_PUSH_BACKEND_URL=sys.argv[1], SSE_PUSH_KEY_PREFIX=sys.argv[2])
sse = SSEPush(app)
for number in range(3):
    sse.broadcast("e", {"n": number})
"""


def test_a_process_that_ends_sends_what_waits_or_says_what_is_lost(
    shared: RedisServer, prefix: str
) -> None:
    def run(url: str) -> str:
        command = [sys.executable, "-c", _LAST_WORDS, url, prefix]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
        )
        return done.stderr

    assert run(shared.url) == ""
    log: Any = shared.command("XRANGE", f"{{{prefix}}}:log", "-", "+")
    assert [fields[b"e"] for _, fields in log if fields[b"c"] == b"all"] == [b"e"] * 3
    assert shared.command("KEYS", f"{{{prefix}}}:presence:*") == []
    assert "3 events are lost" in run(f"redis://127.0.0.1:{free_port()}/0")


def test_stopping_ends_threads_and_connections(
    server: RedisServer, start_on: Start
) -> None:
    worker = start_on()
    send(worker, "a")
    before = threading.active_count()
    worker.backend.stop()
    eventually(lambda: threading.active_count() == before - 2)
    eventually(lambda: len(server.client.client_list()) == 1)
    assert server.command("KEYS", "*presence*") == []


# Presence.


def test_workers_agree_on_who_is_connected(start: Start) -> None:
    first, second = start(), start()
    first.receiver.users = {"1": 2, "é": 1}
    second.receiver.users = {"1": 1, "3": 1}
    second.receiver.anonymous = 5
    for worker in (first, second):
        backend = worker.backend
        wait_for_clients(worker, 10)
        assert backend.connected_users() == {"1", "3", "é"}
        assert backend.is_user_connected("3")
        assert not backend.is_user_connected("4")
        assert backend.health()["workers"] == 2
    del first.receiver.users["é"]
    first.receiver.users["1"] = 1
    wait_for_clients(second, 8)
    assert second.backend.connected_users() == {"1", "3"}
    first.backend.stop()
    assert second.backend.client_count() == 7
    assert second.backend.health()["workers"] == 1


def test_a_killed_worker_expires(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_EXPIRY_SECONDS", 1.0)
    monkeypatch.setattr(presence, "_REFRESH_SECONDS", 0.3)
    dying, other = start(), start()
    dying.receiver.users = {"1": 1}
    eventually(lambda: other.backend.is_user_connected("1"))
    # As kill -9 does: it says nothing any more, and takes nothing back.
    dying.backend._presence._stopped.set()
    eventually(lambda: not other.backend.is_user_connected("1"), seconds=4)
    assert other.backend.client_count() == 0
    assert other.backend.health()["workers"] == 1


def test_presence_survives_a_server_that_comes_back_empty(
    server: RedisServer, start_on: Start
) -> None:
    first, second = start_on(), start_on()
    first.receiver.users = {"1": 1}
    eventually(lambda: second.backend.is_user_connected("1"))
    server.stop()
    server.erase()
    server.start()

    def is_known() -> bool:
        try:
            return second.backend.is_user_connected("1")
        except BackendError:
            return False

    eventually(is_known)


# The server and its URL.


def test_a_password_is_used_and_told_to_nobody(
    caplog: pytest.LogCaptureFixture, workers: list[Worker], prefix: str
) -> None:
    caplog.set_level(logging.DEBUG, "flask_sse_push")
    with RedisServer(password="s3cret!") as server:
        url = f"redis://:s3cret%21@127.0.0.1:{server.port}/0"
        worker = Worker(url, key_prefix=prefix)
        workers.append(worker)
        worker.start()
        send(worker, "a")
        wait_for_texts(worker, ["a"])
        wrong = Worker(url.replace("s3cret", "wr0ng"), key_prefix=prefix)
        workers.append(wrong)
        wrong.backend.start(wrong.receiver)
        with pytest.raises(BackendError) as caught:
            send(wrong, "b")
        eventually(lambda: "cannot be read" in caplog.text)
    with pytest.raises(BackendError) as refused:
        send(worker, "c")
    told = f"{caught.value!r} {refused.value!r} {caplog.text} {worker.backend.health()}"
    assert "put them right in the URL" in str(caught.value)
    assert "s3cret" not in told
    assert "wr0ng" not in told


def test_a_server_that_quotes_the_password_is_not_quoted() -> None:
    server = Server("redis://user:pa55@host")
    error = server.translate(ValueError("unknown command HELLO 3 AUTH user pa55"))
    assert str(error) == "Redis: unknown command HELLO 3 AUTH user ***"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://host:port", "host:port"),
        ("redis://host/zero", "a number"),
        ("redis://host?socket_timeout=soon", "socket_timeout"),
        ("redis://:secret@host?no_such_option=1", "no_such_option"),
        ("redis+sentinel://host:26379", "names no service"),
        ("redis://host?protocol=4", "protocol"),
    ],
)
def test_a_wrong_url_is_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        RedisBackend(Config(backend_url=url))
    assert "secret" not in str(caught.value)


def test_query_options_are_redis_pys(shared: RedisServer) -> None:
    server = Server(f"valkey://127.0.0.1:{shared.port}?client_name=shop&db=3")
    [name] = server.call(("CLIENT", "GETNAME"))
    assert name == b"shop"
    [info] = server.call(("CLIENT", "INFO"))
    assert b" db=3 " in info
    server.close()


def test_an_error_does_not_upset_the_connection(shared: RedisServer) -> None:
    server = Server(shared.url)
    with pytest.raises(BackendError, match="wrong number of arguments"):
        server.call(("PING",), ("GET",), ("ECHO", "x"))
    assert server.call(("ECHO", "y")) == [b"y"]
    assert server.run(Script("return ARGV[1]"), [], ["z"]) == b"z"
    server.close()


def test_busy_connections_are_waited_for_no_longer_than_an_answer(
    shared: RedisServer,
) -> None:
    server = Server(f"{shared.url}?max_connections=1&socket_timeout=0.3")

    with server._turns, pytest.raises(BackendError, match="busy"):
        server.call(("PING",))
    assert server.call(("PING",)) in ([b"PONG"], ["PONG"])
    server.close()


def test_the_next_host_of_the_url_is_tried(shared: RedisServer) -> None:
    server = Server(f"redis://127.0.0.1:{free_port()},127.0.0.1:{shared.port}")
    with pytest.raises(BackendError):
        server.call(("ECHO", "x"))
    assert server.call(("ECHO", "x")) == [b"x"]
    server.close()


def test_a_primary_that_became_a_replica_is_left(
    shared: RedisServer, prefix: str
) -> None:
    with RedisServer() as old:
        server = Server(f"redis://127.0.0.1:{old.port},127.0.0.1:{shared.port}")
        server.call(("SET", f"{prefix}:x", "1"))
        old.command("REPLICAOF", "127.0.0.1", shared.port)
        server.call(("SET", f"{prefix}:x", "2"))
        server.close()
    assert shared.command("GET", f"{prefix}:x") == b"2"


def test_a_clusters_redirection_is_followed(workers: list[Worker], prefix: str) -> None:
    buses = [free_port(), free_port()]
    nodes = [
        RedisServer("--cluster-enabled", "yes", "--cluster-port", str(bus))
        for bus in buses
    ]
    with nodes[0] as here, nodes[1] as there:
        here.command("CLUSTER", "MEET", "127.0.0.1", there.port, buses[1])
        there.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        eventually(
            lambda: (
                b"cluster_state:ok" in here.command("CLUSTER", "INFO")
                and b"cluster_state:ok" in there.command("CLUSTER", "INFO")
            ),
        )
        worker = Worker(here.url, key_prefix=prefix)
        workers.append(worker)
        worker.start()
        send(worker, "a", channel="user:1")
        wait_for_texts(worker, ["a"])
        worker.receiver.users = {"1": 1}
        other = Worker(here.url, key_prefix=prefix)
        workers.append(other)
        other.start()
        eventually(lambda: other.backend.is_user_connected("1"))
        assert other.texts == ["a"]
        assert len(worker.backend.unread("1", START)) == 1
        assert there.command("XLEN", f"{{{prefix}}}:log") == 2
        for one in (worker, other):
            one.backend.stop()


def test_sentinel_says_where_the_primary_is(workers: list[Worker], prefix: str) -> None:
    quick = ("--repl-diskless-sync-delay", "0")
    with RedisServer(*quick) as primary, RedisServer(*quick) as replica:
        replica.command("REPLICAOF", "127.0.0.1", primary.port)
        sentinel = RedisServer()
        try:
            sentinel.start_sentinel("shop", primary)
            url = (
                f"redis+sentinel://127.0.0.1:{free_port()},"
                f"127.0.0.1:{sentinel.port}/shop/0"
            )
            worker = Worker(url, key_prefix=prefix)
            workers.append(worker)
            worker.start()
            send(worker, "a")
            eventually(lambda: replica.command("XLEN", f"{{{prefix}}}:log") == 2)

            # The failover itself is quick when asked for, once the replica is known.
            def fail_over() -> bool:
                try:
                    sentinel.command("SENTINEL", "FAILOVER", "shop")
                except redis.ResponseError:  # it knows no replica yet
                    return False
                return True

            eventually(fail_over, seconds=15)
            eventually(
                lambda: replica.client.info("replication")["role"] == "master",
                seconds=15,
            )
            send_when_possible(worker, "b")
            wait_for_texts(worker, ["a", "b"])
            worker.backend.stop()
        finally:
            sentinel.close()


@contextlib.contextmanager
def tls_before(server: RedisServer, folder: Path) -> Iterator[tuple[int, Path]]:
    """A TLS end before a server, as in the cloud; yields its port and certificate."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                context.wrap_socket(self.request, server_side=True) as outer,
                socket.create_connection(("127.0.0.1", server.port)) as inner,
            ):
                outer.setblocking(False)
                while True:
                    select.select([outer, inner], [], [])
                    with contextlib.suppress(ssl.SSLWantReadError):
                        if not (data := outer.recv(65_536)):
                            return
                        inner.sendall(data)
                    if select.select([inner], [], [], 0)[0]:
                        if not (data := inner.recv(65_536)):
                            return
                        outer.sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        relay.daemon_threads = True
        threading.Thread(target=relay.serve_forever, args=(0.02,), daemon=True).start()
        yield relay.server_address[1], certificate
        relay.shutdown()


def test_tls(
    shared: RedisServer, workers: list[Worker], prefix: str, tmp_path: Path
) -> None:
    with tls_before(shared, tmp_path) as (port, certificate):
        url = f"valkeys://127.0.0.1:{port}?ssl_ca_certs={certificate}"
        worker = Worker(url, key_prefix=prefix)
        workers.append(worker)
        worker.start()
        send(worker, "a")
        wait_for_texts(worker, ["a"])
        with pytest.raises(BackendError, match="certificate"):
            Server(f"rediss://127.0.0.1:{port}").call(("PING",))
        worker.backend.stop()


_GEVENT = """
import gevent.monkey
gevent.monkey.patch_all()
import sys
import gevent
from flask_sse_push.log.redis import RedisBackend
from flask_sse_push.config import Config
from flask_sse_push.events import Event
from tests.support.clients import eventually
from tests.support.receiver import Recorder

backend, receiver = RedisBackend(Config(backend_url=sys.argv[1])), Recorder()
ticks = []
def tick():
    while True:
        gevent.sleep(0.01)
        ticks.append(1)
gevent.spawn(tick)
backend.start(receiver)
assert backend.wait_ready(5)
jobs = [gevent.spawn(backend.append, [Event(data=str(n))]) for n in range(50)]
gevent.joinall(jobs, raise_error=True)
eventually(lambda: len(receiver.texts) == 50)
# From a native thread, which has an event loop of its own.
gevent.get_hub().threadpool.apply(backend.append, ([Event(data="native")],))
eventually(lambda: receiver.texts[-1] == "native")
gevent.sleep(2.5)  # longer than a read waits: others run meanwhile
assert len(ticks) > 100, len(ticks)
backend.stop()
print("fine")
"""


def test_under_gevent(shared: RedisServer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _GEVENT, shared.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == "fine\n", done.stderr
