"""How long events and presence take from one worker to another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.figures import percentile
from benchmarks.load import Timer
from benchmarks.process import Process, wait_for_quiet_core
from benchmarks.scaling.effort import SECONDS, Effort
from benchmarks.scaling.presence import presence
from benchmarks.scaling.results import Table
from benchmarks.scaling.valkey import Valkey
from benchmarks.scaling.workers import Workers, load_client
from benchmarks.wire import marked_body


def latency(valkey: Valkey, effort: Effort) -> Table:
    """From publishing on one worker to a client of the other; presence likewise."""
    rows = [["200 events/s, to the other worker", "p50 ms", "p99 ms", "most ms"]]
    rows[0].append("delayed by others, %")
    figures: dict[str, Any] = {}
    with Workers(valkey) as workers, load_client(workers) as client:
        here, there = workers.pids()
        with workers.only(here):
            publisher = workers.connection(client)
        with workers.only(there):
            client.open([workers.stream_request("u0")])
        count = int(200 * effort.latency_seconds)
        sent = 0

        def send(due_ns: int) -> None:
            nonlocal sent
            sent += 1
            body = marked_body(client.base + sent, due_ns)
            publisher.send(workers.publish_request("/send/u0", body))

        client.tally.expected = 20
        timer = Timer(5_000_000, 20, send)
        client.run(lambda: client.complete, seconds=SECONDS, timers=(timer,))
        faults = 0
        for label in ("through a view", "through a Publisher"):
            latencies: list[int] = []
            sent = 0
            wait_for_quiet_core(seconds=effort.quiet_seconds)
            client.begin()
            client.tally.expected = count
            client.latencies_ns = latencies
            parts = [workers.running, valkey.process]
            waited, began = _waited_ns(parts), time.monotonic_ns()
            if label == "through a view":
                timer = Timer(5_000_000, count, send)
                client.run(
                    lambda: client.complete,
                    seconds=SECONDS,
                    timers=(timer,),
                )
            else:
                with workers.script("each", "u", 1, 200) as script:
                    waited += script.process.waited_ns()
                    script.publish(client.base + 1, count)
                    client.run(lambda: client.complete, seconds=SECONDS)
                    script.wait()
                    waited -= script.process.waited_ns()
            client.latencies_ns = None
            faults += client.tally.faults
            waited = _waited_ns(parts) - waited
            delayed = 100 * waited / (time.monotonic_ns() - began)
            spread = _spread(label, [value / 1e6 for value in latencies])
            rows.append([*spread, f"{delayed:.1f}"])
            figures[label] = rows[-1]
        came, went = presence(workers, here, there, effort)
        rows.append([*_spread("presence: a client came", came), ""])
        rows.append([*_spread("presence: it went", went), ""])
        figures["presence"] = {"came": came, "went": went}
    return Table("Latency between workers", rows, figures, faults)


def _waited_ns(processes: Sequence[Process]) -> int:
    return sum(process.waited_ns() for process in processes)


def _spread(label: str, values: Sequence[float]) -> list[str]:
    shares = [percentile(values, 0.5), percentile(values, 0.99), max(values)]
    return [label, *(f"{value:.1f}" for value in shares)]
