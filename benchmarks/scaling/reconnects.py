"""Clients that all reconnect and resume, again and again."""

from __future__ import annotations

import time

from benchmarks.load import LoadClient, Tally
from benchmarks.process import wait_for_quiet_core
from benchmarks.scaling.effort import SECONDS, Effort
from benchmarks.scaling.results import Table
from benchmarks.scaling.valkey import Valkey
from benchmarks.scaling.workers import Workers, load_client


def reconnects(valkey: Valkey, effort: Effort) -> Table:
    """The commands to Valkey while clients reconnect and resume."""
    many = effort.reconnecting
    count = many * effort.storms
    with Workers(valkey) as workers, load_client(workers) as client:
        requests = _resuming(workers, client, many)
        wait_for_quiet_core(seconds=effort.quiet_seconds)
        before, cpu = valkey.calls(), sum(workers.cpu_by_worker_ns())
        server, start = valkey.cpu_ns(), time.monotonic()
        for _ in range(effort.storms):
            client.close()
            client.tally.expected += many
            client.open(requests)
            client.run(lambda: client.complete, seconds=SECONDS)
        wall = time.monotonic() - start
        storm = _difference(before, valkey.calls())
        server = valkey.cpu_ns() - server
        cpu = sum(workers.cpu_by_worker_ns()) - cpu
        time.sleep(2)
        before = valkey.calls()
        time.sleep(wall)
        idle = _difference(before, valkey.calls())
        presence = sum(
            valkey.client.memory_usage(key, samples=0)
            for key in valkey.client.keys("{sse_push}:presence:*")
        )
    rows = [["", f"{count:,} reconnects", f"idle, {many:,} connections"]]
    rows += [
        [name, str(storm.get(name, 0)), str(idle.get(name, 0))]
        for name in sorted(storm.keys() | idle.keys())
    ]
    total = sum(storm.values()), sum(idle.values())
    rows += [
        [f"commands in {wall:.1f} s", *map(str, total)],
        ["commands/worker and second", *(f"{n / wall / 2:.1f}" for n in total)],
        ["commands/reconnect", f"{total[0] / count:.4f}", ""],
        ["reconnects/s", f"{count / wall:,.0f}", ""],
        ["workers, CPU µs/reconnect", f"{cpu / count / 1000:,.0f}", ""],
        ["Valkey, CPU µs/reconnect", f"{server / count / 1000:,.1f}", ""],
        ["events resumed", f"{client.tally.received:,}", ""],
        ["Valkey bytes/connected user", "", f"{presence / many:,.0f}"],
    ]
    figures = {
        "storm": storm,
        "idle": idle,
        "seconds": wall,
        "workersNs": cpu,
        "valkeyNs": server,
        "presenceBytes": presence,
    }
    faults = client.tally.faults
    return Table("Reconnects that resume; commands", rows, figures, faults)


def _resuming(workers: Workers, client: LoadClient, many: int) -> list[bytes]:
    """Connected users, and the requests with which each resumes one event."""
    with workers.script("all", "", 0) as script:
        script.publish(1, 1)
        script.wait()
    [[cursor, _]] = workers.valkey.client.xrevrange("{sse_push}:log", count=1)
    client.begin()
    with workers.script("batch", "u", many) as script:
        script.publish(client.base + 1, many)
        script.wait()
    requests = [
        workers.stream_request(f"u{number}", cursor.decode()) for number in range(many)
    ]
    client.tally.expected = many
    client.open(requests)
    client.run(lambda: client.complete, seconds=SECONDS)
    client.tally = Tally()
    return requests


def _difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    # INFO is sent by this program itself.
    changed = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: n for name, n in changed.items() if n and name != "info"}
