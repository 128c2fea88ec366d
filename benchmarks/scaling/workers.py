"""Several gunicorn workers over one Valkey, on one core, the load on another."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.load import LoadClient
from benchmarks.process import Process, StartError, cpu_ns
from benchmarks.requests import RequestConnection, request_bytes
from benchmarks.scaling.valkey import START_SECONDS, Valkey
from benchmarks.servers import MOST_CONNECTIONS, Server


class Workers(Server):
    """An application of ``benchmarks/`` under ``gunicorn -k gevent``, over a Valkey.

    :param count: workers.
    :param settings: more ``SSE_PUSH_*`` environment variables.
    """

    name = "flask_sse_push"
    title = "flask_sse_push"
    module = "app"

    def __init__(
        self, valkey: Valkey, count: int = 2, settings: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        self.valkey = valkey
        self._count = count
        self._settings = settings or {}

    @classmethod
    def is_installed(cls) -> bool:
        """Whether the library is installed."""
        return find_spec(cls.name) is not None

    def __enter__(self) -> Workers:
        self.start(Path())
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self, directory: Path) -> None:
        """Start on a free port."""
        self.process = Process(
            [
                *(sys.executable, "-m", "gunicorn", "-k", "gevent"),
                *("-w", str(self._count)),
                *("--worker-connections", str(MOST_CONNECTIONS)),
                *("--bind", "127.0.0.1:0", "--keep-alive", "3600"),
                *("-c", "benchmarks/gunicorn_conf.py", "--graceful-timeout", "2"),
                f"benchmarks.{self.module}:app",
            ],
            environment={
                "SSE_PUSH_BACKEND_URL": self.valkey.url,
                "SSE_PUSH_MAX_CONNECTIONS": str(MOST_CONNECTIONS),
                **self._settings,
            },
        )
        try:
            found = self.process.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+)")
            self.port = int(found[1])
            self.process.wait_for(rf"(?s)(?:Booting worker.*){{{self._count}}}")
            # Wait until each has answered, so that all can be measured.
            client = LoadClient(self.port)
            for pid in self.pids():
                with self.only(pid):
                    self.connection(client)
            client.shut()
        except BaseException:
            self.stop()
            raise

    def pids(self) -> list[int]:
        """The workers' processes."""
        return self.running.pids()[1:]

    @contextlib.contextmanager
    def only(self, pid: int) -> Iterator[None]:
        """Suspend all workers but one, so that it accepts all new connections."""
        others = [other for other in self.pids() if other != pid]
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            yield
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)

    def connection(self, client: LoadClient) -> RequestConnection:
        """A keep-alive connection on which a worker has answered."""
        connection = client.add_requests()
        connection.send(request_bytes("GET", "/ping"))
        if not client.run(lambda: not connection.outstanding, seconds=START_SECONDS):
            raise StartError(f"no answer to /ping:\n{self.running.log()[-4000:]}")
        return connection

    def stream_request(self, user: str, cursor: str | None = None) -> bytes:
        """The request that opens a stream for a user, to resume at a cursor."""
        headers = {"Accept": "text/event-stream"}
        if cursor:
            headers["Last-Event-ID"] = cursor
        return request_bytes("GET", f"/events?user={user}", headers=headers)

    def memory_bytes(self) -> int:
        """Memory of the workers without gunicorn's master: proportional set size."""
        return self.running.memory_bytes(self.pids())

    def open(self, client: LoadClient, users: Sequence[str]) -> None:
        """Open a stream for each user, distributed over the workers."""
        pids = self.pids()
        for place, pid in enumerate(pids):
            with self.only(pid), self._opening(users):
                client.open(
                    [self.stream_request(user) for user in users[place :: len(pids)]]
                )
        client.run(lambda: False, seconds=0.3)

    @contextlib.contextmanager
    def _opening(self, users: Sequence[str]) -> Iterator[None]:
        yield

    def cpu_by_worker_ns(self) -> list[int]:
        """CPU time of each worker, when all have become idle."""
        self.running.settled_cpu_ns()
        return [cpu_ns(pid) for pid in self.pids()]

    def script(
        self, how: str, prefix: str, users: int, rate: float = 0
    ) -> contextlib.AbstractContextManager[Script]:
        """A script that publishes with the same library over the same Valkey."""
        return Script([self.name, self.valkey.url, how, prefix, str(users), str(rate)])


class FlaskSSEWorkers(Workers):
    """Flask-SSE in the same setup."""

    name = "flask_sse"
    title = "Flask-SSE"
    module = "flask_sse_app"

    def stream_request(self, user: str, cursor: str | None = None) -> bytes:
        """A stream of the user's channel; an empty name is the channel of all."""
        query = f"?channel={user}" if user else ""
        return request_bytes(
            "GET", f"/events{query}", headers={"Accept": "text/event-stream"}
        )

    @contextlib.contextmanager
    def _opening(self, users: Sequence[str]) -> Iterator[None]:
        # The head of its response goes out with the first event, not before.
        opened = threading.Event()

        def wake() -> None:
            while not opened.wait(0.1):
                for channel in {user or "sse" for user in users}:
                    self.valkey.client.publish(channel, '{"data": "warm"}')

        thread = threading.Thread(target=wake, daemon=True)
        thread.start()
        try:
            yield
        finally:
            opened.set()
            thread.join()


class Script:
    """``benchmarks/script.py`` in its own process, on the load client's core."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.process = Process(
            [sys.executable, "-m", "benchmarks.script", *arguments], pipe=True
        )
        self.wait()

    def publish(self, number: int, events: int) -> None:
        """Start publishing, and return at once.

        :param number: of the first event.
        """
        stdin = self.process.popen.stdin
        assert stdin is not None
        stdin.write(f"{number} {events}\n".encode())
        stdin.flush()

    def wait(self) -> None:
        """Wait until it is ready, or has published.

        :raises StartError: it failed.
        """
        stdout = self.process.popen.stdout
        assert stdout is not None
        if not stdout.readline():
            raise StartError(f"the script failed:\n{self.process.log()[-4000:]}")

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.stop()


@contextlib.contextmanager
def load_client(workers: Workers) -> Iterator[LoadClient]:
    """A load client of the workers; it is closed at the end."""
    client = LoadClient(workers.port)
    try:
        yield client
    finally:
        client.shut()
