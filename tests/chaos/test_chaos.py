"""No event is lost, duplicated or out of order, whatever fails.

``SSE_PUSH_CHAOS=long`` in the environment runs the long form: more clients, longer
outages. ``-s`` shows the figures.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from flask_sse_push import Publisher
from tests.support.redis_server import RedisServer
from tests.support.servers import ROOT, Server, serve

IS_LONG = os.environ.get("SSE_PUSH_CHAOS") == "long"
CLIENTS = 400 if IS_LONG else 100
DOWN_SECONDS = 20.0 if IS_LONG else 3.0
PHASE_SECONDS = 20.0 if IS_LONG else 4.0
PAUSE_SECONDS = 5.0
WORKERS = 4


class Senders:
    """Two senders that count: a script, and a client of the application."""

    def __init__(self, url: str, port: int) -> None:
        self.totals: Counter[str] = Counter()
        self.errors: list[Exception] = []
        self._url = url
        self._port = port
        self._is_done = threading.Event()
        self._threads = [
            threading.Thread(target=self._guard, args=(job,), daemon=True)
            for job in (self._send_from_script, self._send_from_web)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the current sends, and stop."""
        self._is_done.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not self.errors

    def _guard(self, job: Any) -> None:
        try:
            job()
        except Exception as error:
            self.errors.append(error)

    def _send_from_script(self) -> None:
        with Publisher.from_url(self._url, timeout=60) as publisher:
            while not self._is_done.wait(0.005):
                channel = "all" if random.random() < 0.1 else self._random_user()
                data = {"channel": channel, "n": self.totals[channel]}
                if channel == "all":
                    publisher.broadcast("n", data)
                else:
                    publisher.send_to_user(channel, "n", data)
                self.totals[channel] += 1

    def _random_user(self) -> str:
        return f"u{random.randrange(CLIENTS)}"

    def _send_from_web(self) -> None:
        while not self._is_done.wait(0.05):
            # Repeat until a worker confirms it: some are killed before they can.
            while not self._post(self.totals["web"]):
                time.sleep(0.05)
            self.totals["web"] += 1

    def _post(self, number: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("POST", f"/send/{number}")
            return connection.getresponse().status == 204
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Trouble:
    """The failures, one method for each."""

    def __init__(
        self, server: Server, redis: RedisServer, clients: subprocess.Popen[str]
    ) -> None:
        self.server = server
        self.redis = redis
        self.clients = clients

    def end_worker(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(random.choice(list(self.server.workers())), number)

    def kill_workers(self) -> None:
        for _ in range(max(2, int(PHASE_SECONDS / 3))):
            self.end_worker(signal.SIGKILL)
            time.sleep(3)

    def reload(self) -> None:
        self.server.process.send_signal(signal.SIGHUP)
        time.sleep(PHASE_SECONDS / 2)

    def restart_one_by_one(self) -> None:
        for pid in self.server.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            time.sleep(PHASE_SECONDS / 6)

    def kill_redis_clients(self) -> None:
        for _ in range(20):
            self.redis.kill_clients()
            time.sleep(0.1)

    def pause_redis(self) -> None:
        self.redis.pause()
        time.sleep(PAUSE_SECONDS)
        self.redis.resume()
        time.sleep(1)

    def end_redis(self) -> None:
        self.redis.stop()
        time.sleep(DOWN_SECONDS)
        self.redis.start()
        time.sleep(1)

    def drop_clients(self) -> None:
        assert self.clients.stdin is not None
        for _ in range(max(4, int(PHASE_SECONDS))):
            self.clients.stdin.write("drop\n")
            self.clients.stdin.flush()
            time.sleep(0.3)

    def all_at_once(self) -> None:
        end = time.monotonic() + PHASE_SECONDS
        others = threading.Thread(target=self.drop_clients)
        others.start()
        while time.monotonic() < end:
            self.end_worker(random.choice([signal.SIGKILL, signal.SIGTERM]))
            self.redis.kill_clients()
            self.redis.pause()
            time.sleep(0.4)
            self.redis.resume()
            self.redis.stop()
            time.sleep(0.4)
            self.redis.start()
            time.sleep(0.4)
        others.join()


@contextlib.contextmanager
def start_clients(port: int) -> Iterator[subprocess.Popen[str]]:
    """Start the clients, and return when all are connected."""
    command = [sys.executable, "-m", "tests.chaos.clients", str(port), str(CLIENTS)]
    clients = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert clients.stdout is not None
        assert clients.stdout.readline() == "ready\n"
        yield clients
    finally:
        clients.kill()
        clients.communicate()


@pytest.mark.chaos
@pytest.mark.timeout(400)
def test_nothing_is_lost_disordered_or_doubled() -> None:
    arguments = ("-w", str(WORKERS), "--graceful-timeout", "3")
    with (
        RedisServer() as redis,
        serve(
            "gunicorn-gevent",
            "tests.chaos.app:app",
            arguments=arguments,
            environ={"SSE_PUSH_BACKEND_URL": redis.url},
        ) as server,
        start_clients(int(server.address[1])) as clients,
    ):
        senders = Senders(redis.url, int(server.address[1]))
        trouble = Trouble(server, redis, clients)
        for cause in (
            trouble.kill_workers,
            trouble.reload,
            trouble.restart_one_by_one,
            trouble.kill_redis_clients,
            trouble.pause_redis,
            trouble.end_redis,
            trouble.drop_clients,
            trouble.all_at_once,
        ):
            cause()
        senders.stop()
        assert clients.stdin is not None
        assert clients.stdout is not None
        clients.stdin.write(f"finish {json.dumps(senders.totals)}\n")
        clients.stdin.flush()
        findings = json.loads(clients.stdout.readline())
        sent = sum(senders.totals.values())
        print(f"\n{sent} events, {CLIENTS} clients: {findings}")  # noqa: T201 (for -s)
        problems = {name: findings[name] for name in ("lost", "disordered", "doubled")}
        assert problems == dict.fromkeys(problems, 0), server.log()[-5000:]
        assert findings["gaps"] == 0
        assert sent > CLIENTS
