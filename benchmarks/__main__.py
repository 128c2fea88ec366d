"""``python -m benchmarks``: measures all servers, prints a table; then ``scaling``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from benchmarks import connects, scaling
from benchmarks.figures import ConnectFigures, Effort, Figures
from benchmarks.phases import Measurement
from benchmarks.process import LOAD_CORE, StartError, pin, raise_descriptor_limit
from benchmarks.servers import (
    MOST_CONNECTIONS,
    Gunicorn,
    Nchan,
    SendLoop,
    Server,
)
from benchmarks.table import render
from benchmarks.wire import ProtocolError

# File descriptors that the load client and the server need for themselves.
_SPARE_DESCRIPTORS = 200
# The packages on which the figures depend most.
_VERSIONS = ("flask", "werkzeug", "gunicorn", "gevent")

FAILURES = (StartError, ProtocolError, OSError)


def servers() -> list[Server]:
    """The servers that push events, in the table's order."""
    return [
        Gunicorn("push", "flask_sse_push", "app"),
        Gunicorn("baseline", "generator + queue", "baseline_app"),
        Nchan(),
        SendLoop(),
    ]


def connect_kinds() -> list[
    tuple[str, Server, Callable[[Server, Effort], ConnectFigures]]
]:
    """The comparison of connects: names for ``--only``, and the servers that run."""
    return [
        ("bare", Gunicorn("bare", "bare view", "bare_app"), connects.bare),
        ("login", Gunicorn("login", "session", "login_app"), connects.session),
        ("push", Gunicorn("push", "flask_sse_push", "app"), connects.fresh),
        ("login", Gunicorn("login", "login", "login_app"), connects.resuming),
    ]


def names() -> list[str]:
    """The names that ``--only`` accepts."""
    return [*(server.name for server in servers()), "bare", "login"]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--connections", type=int, metavar="N", default=6000)
    parser.add_argument(
        "--only", metavar="NAMES", help=f"measure only these: {','.join(names())}"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures to FILE"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    options = parser.parse_args(arguments)
    most = min(MOST_CONNECTIONS, raise_descriptor_limit()) - _SPARE_DESCRIPTORS
    if not 1 <= options.connections <= most:
        parser.error(f"--connections must be 1 to {most} here (open files, ulimit -n)")
    options.scaling = not options.only
    options.only = options.only.split(",") if options.only else names()
    if unknown := set(options.only) - set(names()):
        parser.error(f"--only does not know {', '.join(sorted(unknown))}")
    return options


def measure(server: Server, effort: Effort) -> Figures:
    """Start, measure and stop one server."""
    with started(server):
        return Measurement(server, effort).run()


@contextlib.contextmanager
def started(server: Server) -> Iterator[Server]:
    """Run the server in a temporary directory, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        try:
            server.start(Path(directory))
            if server.running.cores() & os.sched_getaffinity(0):
                tell(
                    "  the server shares a core with the load client: figures distorted"
                )
            yield server
        finally:
            server.stop()


def tell(text: str) -> None:
    """Print progress to standard error, separate from the table."""
    print(text, file=sys.stderr, flush=True)


def interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the run like Ctrl-C: all servers are stopped first."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; returns the exit status: 1 when something failed."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, interrupt)
    pin(LOAD_CORE)
    effort = Effort(connections=options.connections, few=min(100, options.connections))
    if options.quick:
        effort = Effort.quick(options.connections)
    results: list[Figures] = []
    costs: list[ConnectFigures] = []
    failed = False

    for server in servers():
        if server.name not in options.only:
            continue
        if reason := server.unavailable():
            tell(f"{server.title}: skipped, {reason}")
            continue
        tell(f"{server.title}: {effort.connections} connections ...")
        try:
            results.append(measure(server, effort))
        except FAILURES as error:
            tell(f"{server.title}: failed: {error}")
            failed = True

    for name, server, kind in connect_kinds():
        if name not in options.only:
            continue
        tell(f"connects, {server.title} ...")
        try:
            with started(server):
                costs.append(kind(server, effort))
        except FAILURES as error:
            tell(f"connects, {server.title}: failed: {error}")
            failed = True

    print(render(results, costs))
    if options.json:
        options.json.write_text(
            json.dumps(
                {
                    "python": platform.python_version(),
                    "versions": {name: version(name) for name in _VERSIONS},
                    "kernel": platform.release().partition("-")[0],
                    "cpus": os.cpu_count(),
                    "effort": asdict(effort),
                    "servers": [figures.as_json() for figures in results],
                    "connects": [figures.as_json() for figures in costs],
                },
                indent=2,
            )
            + "\n"
        )
    if options.scaling:
        failed |= scaling.main(["--quick"] if options.quick else []) != 0
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
