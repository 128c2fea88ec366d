"""The cost, for a worker, of events that are not for its clients."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.process import wait_for_quiet_core
from benchmarks.scaling.effort import OTHERS, Effort
from benchmarks.scaling.results import Table
from benchmarks.scaling.valkey import Valkey
from benchmarks.scaling.workers import Script, Workers, load_client


def foreign(valkey: Valkey, effort: Effort) -> Table:
    """CPU of a worker for events that are not for its clients."""
    rows = [
        [
            "events for others",
            *("worker µs/event", "Valkey µs/event", "Valkey bytes/event"),
        ]
    ]
    figures: dict[str, Any] = {}
    full = {"SSE_PUSH_HISTORY_BYTES": str(4 * 1024 * 1024)}
    paced = effort.foreign // 10
    for label, count, how, rate, settings in (
        ("as fast as taken", 1, "batch", 0, {}),
        ("as fast as taken, history full", 1, "batch", 0, full),
        ("as fast as taken, 4 workers", 4, "batch", 0, {}),
        ("as fast as taken, 8 workers", 8, "batch", 0, {}),
        ("100/s", 1, "each", 100, {}),
        ("500/s", 1, "each", 500, {}),
        ("2,000/s", 1, "each", 2_000, {}),
        ("500/s, 4 workers", 4, "each", 500, {}),
    ):
        events = min(paced, rate * 10) if rate else effort.foreign
        with (
            Workers(valkey, count, settings) as workers,
            load_client(workers) as client,
        ):
            for pid in workers.pids():
                with workers.only(pid):
                    client.open([workers.stream_request(f"idle{n}") for n in range(3)])
            with workers.script(how, "other", OTHERS, rate) as script:
                # Warm up: fill the history and the memory of nonces.
                script.publish(1, int(rate) or effort.foreign * 3 // 2)
                script.wait()
                rounds = [
                    _foreign_round(workers, script, events, effort)
                    for _ in range(effort.rounds)
                ]
            worker, server, sent = (
                statistics.median(column) for column in zip(*rounds, strict=True)
            )
            rows.append([label, f"{worker:.1f}", f"{server:.1f}", f"{sent:,.0f}"])
            figures[label] = {"events": events, "rounds": rounds}
    return Table("CPU per event in the log", rows, figures)


def _foreign_round(
    workers: Workers, script: Script, events: int, effort: Effort
) -> tuple[float, float, float]:
    valkey = workers.valkey
    wait_for_quiet_core(seconds=effort.quiet_seconds)
    before, server = workers.cpu_by_worker_ns(), valkey.cpu_ns()
    sent = valkey.sent_bytes()
    start = time.monotonic()
    script.publish(1, events)
    script.wait()
    after, server = workers.cpu_by_worker_ns(), valkey.cpu_ns() - server
    sent = valkey.sent_bytes() - sent
    # The CPU that they use in the same time without events.
    wall = time.monotonic() - start
    idle, idle_server = workers.cpu_by_worker_ns(), valkey.cpu_ns()
    time.sleep(wall)
    idle_after, idle_server = workers.cpu_by_worker_ns(), valkey.cpu_ns() - idle_server
    used = [
        (new - old) - (idle_new - idle_old)
        for old, new, idle_old, idle_new in zip(
            before, after, idle, idle_after, strict=True
        )
    ]
    return (
        statistics.median(used) / events / 1000,
        (server - idle_server) / events / 1000,
        sent / events,
    )
