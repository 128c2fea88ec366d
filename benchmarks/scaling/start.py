"""The time that a starting worker needs to read the event log."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.process import wait_for_quiet_core
from benchmarks.scaling.effort import OTHERS, Effort
from benchmarks.scaling.results import Table
from benchmarks.scaling.valkey import Valkey
from benchmarks.scaling.workers import Workers, load_client


def start(valkey: Valkey, effort: Effort) -> Table:
    """The start of a worker with a full event log."""
    rows = [["", "s to first stream", "of it CPU", "MiB", "Valkey CPU s"]]
    figures: dict[str, Any] = {}
    for label, entries in (("empty log", 0), (f"{effort.log:,} entries", effort.log)):
        rounds = []
        valkey.client.flushall()
        if entries:
            with Workers(valkey).script("batch", "u", OTHERS) as script:
                script.publish(1, entries)
                script.wait()
        for _ in range(effort.rounds):
            wait_for_quiet_core(seconds=effort.quiet_seconds)
            with Workers(valkey, 1) as workers, load_client(workers) as client:
                [cpu] = workers.cpu_by_worker_ns()
                server = valkey.cpu_ns()
                before = time.monotonic()
                client.open([workers.stream_request("u1")])
                wall = time.monotonic() - before
                server = valkey.cpu_ns() - server
                cpu = workers.cpu_by_worker_ns()[0] - cpu
                memory = workers.memory_bytes()
                rounds.append((wall, cpu / 1e9, memory / 2**20, server / 1e9))
        middle = [statistics.median(column) for column in zip(*rounds, strict=True)]
        rows.append(
            [label, *(f"{value:.{2 - n // 2}f}" for n, value in enumerate(middle))]
        )
        figures[label] = rounds
    return Table("Start of a worker", rows, figures)
