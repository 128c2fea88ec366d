"""Streams while a request waits for a database: ``python -m benchmarks.drivers URL``.

``URL`` is a PostgreSQL server, such as ``postgresql://me@localhost/postgres``; nothing
is written there. One gunicorn worker with gevent sends a stream an event every 20 ms. A
request then waits two seconds for the database. How long no event arrives meanwhile,
and how long ``/ping`` takes at worst, shows whether the driver lets others run. Drivers
that are not installed are left out.
"""

from __future__ import annotations

import argparse
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from benchmarks.drivers_app import EVENT_SECONDS, QUERIES, SECONDS

ROOT = Path(__file__).resolve().parents[1]
_COMMAND = (
    *(sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "1"),
    *("-c", "benchmarks/gunicorn_conf.py", "-b", "127.0.0.1:0"),
    "benchmarks.drivers_app:create_app()",
)
_LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")
_MODULES = ("sqlalchemy", "psycopg2", "psycopg", "psycogreen", "pg8000")


def _get(port: int, path: str) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode()
        if response.status != 200:
            raise RuntimeError(f"{path}: status {response.status}")
        return text
    finally:
        connection.close()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        if found := _LISTENING.search(log.read_text(errors="replace")):
            return int(found[1])
        time.sleep(0.05)
    raise RuntimeError(f"gunicorn did not start:\n{log.read_text(errors='replace')}")


class Watch:
    """Notes when events arrive and how long ``/ping`` takes."""

    def __init__(self, port: int) -> None:
        self.events: list[float] = []
        self.pings: list[tuple[float, float]] = []
        self._port = port
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=target) for target in (self._read, self._ping)
        ]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("GET", "/sse/stream")
        response = connection.getresponse()
        while not self._is_over.is_set():
            if response.readline().startswith(b"event: tick"):
                self.events.append(time.monotonic())
        response.close()
        connection.close()

    def _ping(self) -> None:
        while not self._is_over.is_set():
            start = time.monotonic()
            _get(self._port, "/ping")
            self.pings.append((start, time.monotonic()))
            self._is_over.wait(EVENT_SECONDS)

    def stop(self) -> None:
        """End both threads."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)


def measure(driver: str, url: str) -> tuple[float, float, float]:
    """Seconds: of the query, the longest without an event, the slowest ``/ping``."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "locked.db")
        lock = sqlite3.connect(file, isolation_level=None)
        lock.execute("create table t (x)")
        lock.execute("begin immediate")
        environ = {"DRIVER": driver, "DATABASE_URL": url, "SQLITE_FILE": str(file)}
        log = Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                _COMMAND,
                cwd=ROOT,
                env={**os.environ, **environ},
                stdout=output,
                stderr=output,
            )
        try:
            port = _port(process, log)
            _get(port, "/start")
            # The first query imports the driver.
            _get(port, "/query")
            watch = Watch(port)
            try:
                time.sleep(1)
                start = time.monotonic()
                took = float(_get(port, "/query"))
                time.sleep(0.5)
            finally:
                watch.stop()
        finally:
            process.terminate()
            process.wait(15)
            lock.close()
    events = [start, *(moment for moment in watch.events if moment > start)]
    silence = max(later - earlier for earlier, later in pairwise(events))
    slowest = max(end - begin for begin, end in watch.pings if end > start)
    return took, silence, slowest


def main() -> None:
    """Measure every driver that is installed, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="postgresql://user@host:port/database")
    url = parser.parse_args().url
    print(f"Each query waits {SECONDS} s.")
    for driver in QUERIES:
        words = re.findall(r"\w+", driver)
        if all(find_spec(word) for word in words if word in _MODULES):
            took, silence, slowest = measure(driver, url)
            print(
                f"{driver:28} query {took:.2f} s, without events "
                f"{silence * 1000:5.0f} ms, /ping {slowest * 1000:5.0f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
