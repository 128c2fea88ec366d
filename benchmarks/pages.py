"""Pages and streams under every WSGI server: ``python -m benchmarks.pages``.

A visitor goes through fifty pages; each opens a stream when it has come, and the page
before closes its own. Then many streams stay open, an event goes to all of them now and
then, and what another visitor waits for a small answer is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from benchmarks.process import ROOT, Process, StartError, raise_descriptor_limit

PAGES = 50
PINGS = 300
# Pings between two events to all.
PINGS_PER_EVENT = 30
_PYTHON = sys.executable
_GUNICORN = (
    *(_PYTHON, "-m", "gunicorn", "-c", "benchmarks/gunicorn_conf.py"),
    *("-b", "127.0.0.1:{port}"),
)
_FLASK = (_PYTHON, "-m", "flask", "--app", "benchmarks.app", "run", "-p", "{port}")
_UWSGI = (
    *(str(Path(_PYTHON).with_name("pyuwsgi")), "--virtualenv", sys.prefix),
    *("--die-on-term", "--listen", "100", "--module", "benchmarks.app:app"),
)


@dataclass(frozen=True)
class Kind:
    """A server and how it is started.

    :param shown: the command as the documentation prints it.
    :param module: that must be importable, else the server is left out.
    """

    shown: str
    command: tuple[str, ...]
    handoff: str = "auto"
    module: str = "gunicorn"


def _other(name: str) -> tuple[str, ...]:
    return (_PYTHON, "-m", "benchmarks.other_servers", name, "{port}")


KINDS = (
    Kind("gunicorn -k gevent", (*_GUNICORN, "-k", "gevent", "benchmarks.app:app")),
    Kind(
        "gunicorn -k gthread --threads 2",
        (*_GUNICORN, "-k", "gthread", "--threads", "2", "benchmarks.app:app"),
    ),
    Kind("gunicorn (sync)", (*_GUNICORN, "benchmarks.app:app")),
    Kind("gevent.pywsgi", _other("pywsgi"), module="gevent"),
    Kind("flask run", _FLASK, module="flask"),
    Kind("flask run --without-threads", (*_FLASK, "--without-threads"), module="flask"),
    Kind("waitress-serve (4 threads)", _other("waitress"), module="waitress"),
    Kind(
        "uwsgi --http-socket",
        (*_UWSGI, "--http-socket", "127.0.0.1:{port}"),
        module="pyuwsgi",
    ),
    Kind(
        "uwsgi --master --http",
        (*_UWSGI, "--master", "--http", "127.0.0.1:{port}"),
        module="pyuwsgi",
    ),
    Kind("cheroot (10 threads)", _other("cheroot"), module="cheroot"),
    Kind("wsgiref", _other("wsgiref"), module="wsgiref"),
    Kind(
        "gunicorn -k gthread --threads 4, no hand-off",
        (*_GUNICORN, "-k", "gthread", "--threads", "4", "benchmarks.app:app"),
        handoff="off",
    ),
    Kind(
        "waitress-serve (4 threads), no hand-off",
        _other("waitress"),
        handoff="off",
        module="waitress",
    ),
)


@dataclass
class Result:
    """What was measured under one server; times in milliseconds."""

    server: str
    page_worst: float = 0.0
    page_median: float = 0.0
    streams: int = 0
    carrier: str = ""
    ping_p99: float = 0.0
    ping_worst: float = 0.0
    error: str = ""


class Visitor:
    """Asks a server on 127.0.0.1 for pages and streams."""

    def __init__(self, port: int) -> None:
        self._port = port

    def request(self, method: str, path: str, body: str | None = None) -> bytes:
        """One request over a connection of its own; returns the answer's body."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            return connection.getresponse().read()

    def stream(self) -> HTTPResponse | None:
        """Open a stream and wait for its cursor; ``None`` if it was refused."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request("GET", "/events", headers={"Accept": "text/event-stream"})
        response = connection.getresponse()
        # The response keeps the socket open.
        connection.close()
        received = b""
        while b"id: " not in received:
            chunk = response.read1(65536)
            received += chunk
            if not chunk:
                response.close()
                return None
        return response

    def carriers(self) -> dict[str, int]:
        """How many streams each carrier has."""
        found: dict[str, int] = json.loads(self.request("GET", "/sse/health"))[
            "carriers"
        ]
        return found


def measure_pages(visitor: Visitor, result: Result, pages: int = PAGES) -> None:
    """A visitor goes from page to page."""
    times = []
    last: HTTPResponse | None = None
    for _ in range(pages):
        start = time.monotonic()
        visitor.request("GET", "/ping")
        if last is not None:
            last.close()
        last = visitor.stream()
        times.append(1000 * (time.monotonic() - start))
    if last is not None:
        last.close()
    times.sort()
    result.page_worst, result.page_median = times[-1], times[len(times) // 2]


def measure_pings(visitor: Visitor, result: Result, most: int) -> None:
    """Open streams until one is refused, and ask for something else beside them."""
    streams: list[HTTPResponse] = []
    with contextlib.ExitStack() as stack:
        while len(streams) < most:
            opened = visitor.stream()
            if opened is None:
                break
            streams.append(opened)
            stack.callback(opened.close)
        carriers = visitor.carriers()
        result.streams = sum(carriers.values())
        result.carrier = ", ".join(name for name, count in carriers.items() if count)
        times = []
        for number in range(PINGS):
            if number % PINGS_PER_EVENT == 0:
                visitor.request("POST", "/broadcast", "x" * 100)
            start = time.monotonic()
            visitor.request("GET", "/ping")
            times.append(1000 * (time.monotonic() - start))
        times.sort()
        result.ping_p99, result.ping_worst = times[int(0.99 * PINGS)], times[-1]


@contextlib.contextmanager
def started(kind: Kind) -> Iterator[int]:
    """Run a server; gives its port.

    :raises StartError: it did not come up.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = Process(
        [part.format(port=port) for part in kind.command],
        environment={"SSE_PUSH_HANDOFF": kind.handoff, "PYTHONPATH": str(ROOT)},
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                Visitor(port).request("GET", "/ping")
                break
            except OSError:
                if time.monotonic() > deadline or process.popen.poll() is not None:
                    raise StartError(process.log()[-2000:]) from None
                time.sleep(0.05)
        yield port
    finally:
        process.stop()


def measure(kind: Kind, most: int) -> Result:
    """Everything under one server."""
    result = Result(kind.shown)
    try:
        with started(kind) as port:
            visitor = Visitor(port)
            measure_pages(visitor, result)
            measure_pings(visitor, result, most)
    except (OSError, StartError, ValueError) as error:
        result.error = f"{type(error).__name__}: {error}"
    return result


def render(results: Sequence[Result]) -> str:
    """A table as text."""
    lines = [
        f"{'server':46} {'carrier':11} {'page ms':>8} {'worst':>8} "
        f"{'streams':>8} {'ping p99':>9} {'worst':>8}"
    ]
    lines += [
        f"{r.server:46} {r.carrier:11} {r.page_median:8.1f} {r.page_worst:8.1f} "
        f"{r.streams:8d} {r.ping_p99:9.1f} {r.ping_worst:8.1f} {r.error}"
        for r in results
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns the exit status: 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages")
    parser.add_argument("--streams", type=int, default=1000, metavar="N")
    parser.add_argument("--only", default="", metavar="TEXT", help="in a server's name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures too")
    options = parser.parse_args(arguments)
    raise_descriptor_limit()
    results = []
    for kind in KINDS:
        if options.only in kind.shown:
            print(kind.shown, file=sys.stderr, flush=True)
            results.append(measure(kind, options.streams))
    print(render(results))
    if options.json:
        options.json.write_text(json.dumps([asdict(r) for r in results], indent=2))
    return 1 if any(result.error for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
