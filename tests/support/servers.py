"""Real servers for tests, each in its own process and on a free port."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
# A server that a test fails to stop ends by itself after this many seconds.
LIFETIME = 150

_GUNICORN = [
    *(sys.executable, "-m", "gunicorn"),
    *("-c", "tests/support/gunicorn_conf.py", "-b", "{bind}"),
]
_FLASK = [sys.executable, "-m", "flask"]
_UWSGI = [
    *(str(Path(sys.executable).with_name("pyuwsgi")), "--die-on-term"),
    *("--virtualenv", sys.prefix),
]
COMMANDS: dict[str, list[str]] = {
    "gunicorn-gevent": [*_GUNICORN, "-k", "gevent", "{target}"],
    "gunicorn-gevent-unix": [*_GUNICORN, "-k", "gevent", "{target}"],
    "gunicorn-gevent-streamed": [*_GUNICORN, "-k", "gevent", "{target}"],
    "gunicorn-gevent-wrapped": [
        *_GUNICORN,
        *("-k", "gevent", "tests.support.webapp:wrapped"),
    ],
    "gunicorn-gthread": [*_GUNICORN, "-k", "gthread", "--threads", "2", "{target}"],
    "gunicorn-gthread-streamed": [
        *_GUNICORN,
        *("-k", "gthread", "--threads", "40", "{target}"),
    ],
    "gunicorn-sync": [*_GUNICORN, "{target}"],
    "gevent-pywsgi": [sys.executable, "-m", "tests.support.pywsgi", "{target}"],
    "flask-run": [*_FLASK, "--app", "{target}", "run", "-p", "0"],
    "flask-run-one-thread": [
        *(*_FLASK, "--app", "{target}", "run", "-p", "0", "--without-threads"),
    ],
    "waitress": [sys.executable, "-m", "tests.support.other", "waitress", "{target}"],
    "cheroot": [sys.executable, "-m", "tests.support.other", "cheroot", "{target}"],
    "wsgiref": [sys.executable, "-m", "tests.support.other", "wsgiref", "{target}"],
    "uwsgi": [*_UWSGI, "--http-socket", "127.0.0.1:0", "--module", "{target}"],
}
#: The servers the extension supports; each must pass the same tests.
KINDS = (
    "gunicorn-gevent",
    "gunicorn-gevent-unix",
    "gunicorn-gevent-wrapped",
    "gunicorn-gevent-streamed",
    "gunicorn-gthread",
    "gunicorn-gthread-streamed",
    "gevent-pywsgi",
    "flask-run",
    "waitress",
    "uwsgi",
)
#: Those under which streams take no thread or greenlet.
HANDED_OFF = tuple(kind for kind in COMMANDS if not kind.endswith("-streamed"))
_ADDRESS = re.compile(
    r"(?:Listening at: |Running on |bound to TCP address )(?:http://|unix:)?([^\s]+)"
)


@dataclass
class Server:
    """A running server."""

    kind: str
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    address: tuple[str, int] | str = field(default="")

    @property
    def url(self) -> str:
        """``http://host:port``; on a Unix socket the host has no meaning."""
        if isinstance(self.address, str):
            return "http://localhost"
        return f"http://{self.address[0]}:{self.address[1]}"

    @property
    def is_handed_off(self) -> bool:
        """Whether this server's streams are handed off."""
        return self.kind in HANDED_OFF

    def workers(self) -> set[int]:
        """The ids of the processes that serve; gunicorn's are its children."""
        master = self.process.pid
        path = Path(f"/proc/{master}/task/{master}/children")
        return {int(pid) for pid in path.read_text().split()}

    def log(self) -> str:
        """What the server has printed."""
        # Not seek() and read(): the server shares the file's position, and would write
        # where the reader has left it.
        descriptor = self.output.fileno()
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, size, 0).decode(errors="replace")

    def stop(self, seconds: float = 10.0) -> float:
        """Stop it, kill it if it does not stop, and return how long that took."""
        start = time.monotonic()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(seconds)
        return time.monotonic() - start


@contextlib.contextmanager
def serve(
    kind: str,
    target: str = "tests.support.webapp:app",
    *,
    environ: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
    bind: str = "127.0.0.1:0",
) -> Iterator[Server]:
    """Run a server until the block ends.

    :param kind: one of :data:`KINDS`.
    :param arguments: more command line arguments.
    :param bind: for gunicorn, an address instead of a free port.
    """
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(tempfile.TemporaryFile())
        if kind == "gunicorn-gevent-unix":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            bind = f"unix:{folder}/s"
        handoff = {"SSE_PUSH_HANDOFF": "off"} if "streamed" in kind else {}
        command = [part.format(bind=bind, target=target) for part in COMMANDS[kind]]
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **handoff, **(environ or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.alarm(LIFETIME),  # noqa: PLW1509 (no threads)
        )
        server = Server(kind, process, output)
        stack.callback(server.stop)
        server.address = _wait_for_address(server)
        yield server


def _wait_for_address(server: Server) -> tuple[str, int] | str:
    end = time.monotonic() + 20
    while time.monotonic() < end and server.process.poll() is None:
        if match := _ADDRESS.search(server.log()):
            host, _, port = match[1].rpartition(":")
            return (host, int(port)) if host else match[1]
        time.sleep(0.02)
    raise AssertionError(f"{server.kind} did not start:\n{server.log()}")
