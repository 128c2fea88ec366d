"""The life of a process: before the server starts, during an outage, at its end."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
import redis

from flask_sse_push.errors import BackendError
from flask_sse_push.events import START
from flask_sse_push.log.redis import reader
from flask_sse_push.log.redis.url import ANSWER_SECONDS, CONNECT_SECONDS
from tests.log.redis.workers import Start, Worker, send
from tests.support.clients import eventually
from tests.support.redis_server import RedisServer, free_port
from tests.support.servers import ROOT

pytestmark = pytest.mark.redis


class Tries:
    """The threads that opened connections, and those that paused before a retry."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[threading.Thread] = []
        self.paused: list[threading.Thread] = []
        connect: Any = redis.Connection._connect

        def note_connect(connection: redis.Connection) -> Any:
            self.opened.append(threading.current_thread())
            return connect(connection)

        def note_pause(seconds: float) -> None:
            self.paused.append(threading.current_thread())
            time.sleep(seconds)

        monkeypatch.setattr(redis.Connection, "_connect", note_connect)
        monkeypatch.setattr(reader, "sleep", note_pause)


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> Tries:
    return Tries(monkeypatch)


def test_an_outage_is_logged_once_and_commands_fail_within_their_bound(
    server: RedisServer,
    start_on: Start,
    tries: Tries,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Each command is tried once, with one wait for a connection and for an answer.
    assert CONNECT_SECONDS + ANSWER_SECONDS < 2.5
    caplog.set_level(logging.INFO, "flask_sse_push")
    worker = start_on()
    send(worker, "a")
    tries.opened.clear()
    server.pause()
    with pytest.raises(BackendError, match="Redis: "):
        send(worker, "b")
    assert threading.current_thread() not in tries.opened
    server.stop()
    for ask in (
        lambda: send(worker, "c"),
        worker.backend.client_count,
        lambda: worker.backend.unread("1", START),
        lambda: worker.backend.acknowledge("1", START),
    ):
        tries.opened.clear()
        with pytest.raises(BackendError):
            ask()
        assert tries.opened.count(threading.current_thread()) == 1
    assert worker.backend.health()["reachable"] is False
    before = len(tries.paused)
    eventually(lambda: len(tries.paused) >= before + 3)
    warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
    told = "The event log (SSE_PUSH_BACKEND_URL) cannot be read, trying again: "
    assert [r.getMessage()[: len(told)] for r in warnings] == [told]
    server.start()
    eventually(lambda: worker.backend.health()["reachable"])
    assert "The event log can be read again" in caplog.messages


def test_a_worker_starts_without_a_server_and_is_ready_when_it_comes(
    workers: list[Worker], tries: Tries
) -> None:
    server = RedisServer()
    worker = Worker(server.url)
    workers.append(worker)
    worker.backend.start(worker.receiver, worker.receiver)
    eventually(lambda: tries.paused)
    # Starting must not connect or wait; other threads do.
    assert threading.current_thread() not in tries.opened + tries.paused
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
    assert "3 events in the outbox are lost" in run(
        f"redis://127.0.0.1:{free_port()}/0"
    )


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
backend.start(receiver, receiver)
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


_TIMEOUTS = """
import gevent.monkey
gevent.monkey.patch_all()
import sys
import gevent
from flask_sse_push.log.redis.server import Server

server = Server(sys.argv[1] + "?max_connections=1")
for number in range(20):
    with gevent.Timeout(0.01, False):
        server.call(("BLPOP", "nothing", 0.02 + number / 1000))
    assert server.call(("ECHO", str(number))) == [str(number).encode()]
waiting = [gevent.spawn(server.call, ("ECHO", str(number))) for number in range(50)]
gevent.joinall(waiting, raise_error=True)
assert [job.value for job in waiting] == [[str(n).encode()] for n in range(50)]
server.close()
print("fine")
"""


@pytest.mark.parametrize("script", [_GEVENT, _TIMEOUTS], ids=["greenlets", "timeouts"])
def test_under_gevent(shared: RedisServer, script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script, shared.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == "fine\n", done.stderr
