"""``python -m benchmarks.scaling``: what workers cost that share one Valkey.

The workers and Valkey are on one core, the load client and the publishing script on
another; CPU times are of single processes and exact. ``docs/scaling.rst`` explains
the figures and plans with them.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import percentile
from benchmarks.load import LoadClient, Tally, Timer
from benchmarks.process import (
    LOAD_CORE,
    Process,
    pin,
    raise_descriptor_limit,
    wait_for_quiet_core,
)
from benchmarks.requests import RequestConnection, request_bytes
from benchmarks.table import columns
from benchmarks.wire import marked_body
from benchmarks.workers import FlaskSSEWorkers, Valkey, Workers

_CLIENTS = 50
_SECONDS = 120.0
# Requests that one connection may have waiting for their answers, and connections.
_WINDOW, _PUBLISHERS = 16, 4
# Users to whom events go that are nobody's here.
_OTHERS = 500


@dataclass(frozen=True)
class Effort:
    """How much of everything one run does.

    :param rounds: of each; a figure is their median.
    :param events: published in one round, by library and by whom.
    :param foreign: events for others in one round.
    :param log: entries that a worker finds at its start.
    """

    rounds: int = 3
    events: dict[str, int] = field(
        default_factory=lambda: {
            "flask_sse_push script": 20_000,
            "flask_sse_push view": 5_000,
            "flask_sse script": 1_000,
            "flask_sse view": 1_000,
        }
    )
    foreign: int = 20_000
    reconnecting: int = 1_000
    storms: int = 10
    log: int = 100_000
    latency_seconds: float = 10.0
    presence_rounds: int = 20
    quiet_seconds: float = 20.0

    @classmethod
    def quick(cls) -> Effort:
        """Enough to see that everything works; the figures mean little."""
        return cls(
            rounds=1,
            events=dict.fromkeys(cls().events, 200),
            foreign=2_000,
            reconnecting=100,
            storms=2,
            log=5_000,
            latency_seconds=1.0,
            presence_rounds=3,
            quiet_seconds=0.0,
        )


# What is measured in each part, by name.
Rows = list[list[str]]
Part = Callable[[Valkey, Effort], "Table"]


@dataclass
class Table:
    """One part of the results.

    :param faults: lost, doubled, reordered and stray events and ended streams.
    """

    title: str
    rows: Rows
    figures: dict[str, Any]
    faults: int = 0


@dataclass
class Throughput:
    """One round of publishing as fast as events are taken."""

    events_s: float
    worker_us: float
    valkey_us: float
    publisher_us: float
    load_share: float
    tally: Tally


def throughput(valkey: Valkey, effort: Effort) -> Table:
    """Events published until all clients of both workers have them, and the rival."""
    rows = [
        [
            f"{_CLIENTS} clients over 2 workers",
            *("events/s", "deliveries/s", "workers µs", "Valkey µs", "script µs"),
            *("Redis conns", "load %", "faults"),
        ]
    ]
    figures: dict[str, Any] = {}
    faults = 0
    kinds = [kind for kind in (Workers, FlaskSSEWorkers) if kind.is_installed()]
    for how, text in (("all", "one channel"), ("each", "own channels")):
        for kind in kinds:
            with kind(valkey) as workers, _client(workers) as client:
                plain = kind is FlaskSSEWorkers and how == "all"
                users = [f"u{number}" for number in range(_CLIENTS)]
                workers.open(client, [""] * _CLIENTS if plain else users)
                connections = valkey.clients()
                # To several users at once, where a library knows how to.
                ways = [("view", how)]
                ways += [("script", "batch")] if how == "each" else []
                ways += [("script", how)]
                for source, way in ways:
                    events = effort.events[f"{kind.name} {source}"]
                    run = _through_views if source == "view" else _through_script
                    rounds = [
                        run(workers, client, way, events, effort)
                        for _ in range(effort.rounds)
                    ]
                    middle = sorted(rounds, key=lambda each: each.events_s)[
                        len(rounds) // 2
                    ]
                    fan_out = _CLIENTS if how == "all" else 1
                    wrong = sum(each.tally.faults for each in rounds)
                    faults += wrong
                    name = source + (", many at once" if way == "batch" else "")
                    label = f"{text}, {name}: {kind.title}"
                    rows.append(
                        [
                            label,
                            f"{middle.events_s:,.0f}",
                            f"{middle.events_s * fan_out:,.0f}",
                            f"{middle.worker_us:,.0f}",
                            f"{middle.valkey_us:,.0f}",
                            f"{middle.publisher_us:,.0f}",
                            str(connections),
                            f"{100 * middle.load_share:.0f}",
                            str(wrong),
                        ]
                    )
                    figures[label] = {
                        "rounds": [asdict(each) for each in rounds],
                        "redisConnections": connections,
                    }
    rows[1:] = sorted(rows[1:], key=lambda row: row[0].partition(":")[0])
    with Workers(valkey) as workers, _client(workers) as client:
        events = effort.events["flask_sse_push view"]
        bare = [
            _through_views(workers, client, "ping", events, effort)
            for _ in range(effort.rounds)
        ]
        rate = statistics.median(each.events_s for each in bare)
        cpu = statistics.median(each.worker_us for each in bare)
        blank = [""] * (len(rows[0]) - 4)
        rows.append(["no event, GET /ping", f"{rate:,.0f}", "", f"{cpu:,.0f}", *blank])
    return Table("As fast as events are taken; CPU per event", rows, figures, faults)


def _through_views(
    workers: Workers, client: LoadClient, how: str, events: int, effort: Effort
) -> Throughput:
    # One connection's requests are one after another: the order is then certain.
    publishers: list[RequestConnection] = []
    pids = workers.pids()
    for number in range(1 if how == "all" else _PUBLISHERS):
        with workers.only(pids[number % len(pids)]):
            publishers.append(workers.connection(client))
    published = 0

    def publish() -> bool:
        nonlocal published
        while published < events:
            user = published % _CLIENTS
            publisher = publishers[user % len(publishers)]
            if publisher.outstanding >= _WINDOW:
                return False
            nth = published + 1 if how == "all" else published // _CLIENTS + 1
            if how == "ping":
                publisher.send(request_bytes("GET", "/ping"))
            else:
                body = marked_body(client.base + nth, time.monotonic_ns())
                path = "/broadcast" if how == "all" else f"/send/u{user}"
                publisher.send(workers.publish_request(path, body))
            published += 1
        return client.complete and not any(each.outstanding for each in publishers)

    with _round(workers, client, events, how, effort) as result:
        client.run(publish, seconds=_SECONDS)
    for publisher in publishers:
        client.drop_requests(publisher)
    return result[0]


def _through_script(
    workers: Workers, client: LoadClient, how: str, events: int, effort: Effort
) -> Throughput:
    with workers.script(how, "u", _CLIENTS) as script:
        with _round(
            workers, client, events, how, effort, script.process.cpu_ns
        ) as result:
            script.publish(client.base + 1, events)
            client.run(lambda: client.complete, seconds=_SECONDS)
            script.wait()
        return result[0]


@contextlib.contextmanager
def _round(
    workers: Workers,
    client: LoadClient,
    events: int,
    how: str,
    effort: Effort,
    script_ns: Callable[[], int] = lambda: 0,
) -> Iterator[list[Throughput]]:
    found: list[Throughput] = []
    wait_for_quiet_core(seconds=effort.quiet_seconds)
    client.begin()
    client.tally.expected = events * {"all": _CLIENTS, "ping": 0}.get(how, 1)

    def read() -> list[int]:
        return [
            sum(workers.cpu_by_worker_ns()),
            workers.valkey.cpu_ns(),
            script_ns(),
        ]

    before = read()
    start = time.monotonic_ns()
    yield found
    wall = time.monotonic_ns() - start
    used = [after - old for after, old in zip(read(), before, strict=True)]
    found.append(
        Throughput(
            events_s=events / wall * 1e9,
            worker_us=used[0] / events / 1000,
            valkey_us=used[1] / events / 1000,
            publisher_us=used[2] / events / 1000,
            load_share=client.busy_ns / wall,
            tally=client.tally,
        )
    )


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
        with Workers(valkey, count, settings) as workers, _client(workers) as client:
            for pid in workers.pids():
                with workers.only(pid):
                    client.open([workers.stream_request(f"idle{n}") for n in range(3)])
            with workers.script(how, "other", _OTHERS, rate) as script:
                # It warms up, and history and the memory of nonces fill.
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
    workers: Workers, script: Any, events: int, effort: Effort
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
    # What they use anyway, in as much time.
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


def reconnects(valkey: Valkey, effort: Effort) -> Table:
    """What Valkey is asked while clients reconnect and resume."""
    many = effort.reconnecting
    count = many * effort.storms
    with Workers(valkey) as workers, _client(workers) as client:
        requests = _resuming(workers, client, many)
        wait_for_quiet_core(seconds=effort.quiet_seconds)
        before, cpu = valkey.calls(), sum(workers.cpu_by_worker_ns())
        server, start = valkey.cpu_ns(), time.monotonic()
        for _ in range(effort.storms):
            client.close()
            client.tally.expected += many
            client.open(requests)
            client.run(lambda: client.complete, seconds=_SECONDS)
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
    """Users that are connected, and the requests that give each one event again."""
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
    client.run(lambda: client.complete, seconds=_SECONDS)
    client.tally = Tally()
    return requests


def _difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    # INFO is this program's own question.
    changed = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: n for name, n in changed.items() if n and name != "info"}


def start(valkey: Valkey, effort: Effort) -> Table:
    """A worker that starts with a full log."""
    rows = [["", "s to first stream", "of it CPU", "MiB", "Valkey CPU s"]]
    figures: dict[str, Any] = {}
    for label, entries in (("empty log", 0), (f"{effort.log:,} entries", effort.log)):
        rounds = []
        valkey.client.flushall()
        if entries:
            with Workers(valkey).script("batch", "u", _OTHERS) as script:
                script.publish(1, entries)
                script.wait()
        for _ in range(effort.rounds):
            wait_for_quiet_core(seconds=effort.quiet_seconds)
            with Workers(valkey, 1) as workers, _client(workers) as client:
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


def latency(valkey: Valkey, effort: Effort) -> Table:
    """From publishing on one worker to a client of the other; presence likewise."""
    rows = [["200 events/s, to the other worker", "p50 ms", "p99 ms", "most ms"]]
    rows[0].append("delayed by others, %")
    figures: dict[str, Any] = {}
    with Workers(valkey) as workers, _client(workers) as client:
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
        client.run(lambda: client.complete, seconds=_SECONDS, timers=(timer,))
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
                    seconds=_SECONDS,
                    timers=(timer,),
                )
            else:
                with workers.script("each", "u", 1, 200) as script:
                    waited += script.process.waited_ns()
                    script.publish(client.base + 1, count)
                    client.run(lambda: client.complete, seconds=_SECONDS)
                    script.wait()
                    waited -= script.process.waited_ns()
            client.latencies_ns = None
            faults += client.tally.faults
            waited = _waited_ns(parts) - waited
            delayed = 100 * waited / (time.monotonic_ns() - began)
            spread = _spread(label, [value / 1e6 for value in latencies])
            rows.append([*spread, f"{delayed:.1f}"])
            figures[label] = rows[-1]
        came, went = _presence(workers, here, there, effort)
        rows.append([*_spread("presence: a client came", came), ""])
        rows.append([*_spread("presence: it went", went), ""])
        figures["presence"] = {"came": came, "went": went}
    return Table("Latency between workers", rows, figures, faults)


def _waited_ns(processes: Sequence[Process]) -> int:
    return sum(process.waited_ns() for process in processes)


def _presence(
    workers: Workers, here: int, there: int, effort: Effort
) -> tuple[list[float], list[float]]:
    """Milliseconds until one worker counts what came to, and left, another."""
    asking = http.client.HTTPConnection("127.0.0.1", workers.port, timeout=10)

    def clients() -> int:
        asking.request("GET", "/sse/health")
        return int(json.loads(asking.getresponse().read())["connectedClients"])

    with workers.only(here):
        usual = clients()

    def agreed(count: int) -> float:
        begin = time.monotonic()
        while clients() != count:
            time.sleep(0.005)
        return 1000 * (time.monotonic() - begin)

    came, went = [], []
    for number in range(effort.presence_rounds):
        time.sleep(0.3 + 0.017 * number)  # anywhere between two ticks
        with _client(workers) as client:
            with workers.only(there):
                client.open([workers.stream_request("someone")])
            came.append(agreed(usual + 1))
            time.sleep(0.3 + 0.019 * number)
        went.append(agreed(usual))
    asking.close()
    return came, went


def _spread(label: str, values: Sequence[float]) -> list[str]:
    shares = [percentile(values, 0.5), percentile(values, 0.99), max(values)]
    return [label, *(f"{value:.1f}" for value in shares)]


@contextlib.contextmanager
def _client(workers: Workers) -> Iterator[LoadClient]:
    client = LoadClient(workers.port)
    try:
        yield client
    finally:
        client.shut()


PARTS: dict[str, Part] = {
    "throughput": throughput,
    "foreign": foreign,
    "reconnects": reconnects,
    "start": start,
    "latency": latency,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all parts, each with a Valkey of its own; 1 when events went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("--only", metavar="PARTS", help=f"of {','.join(PARTS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures too")
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else list(PARTS)
    if unknown := set(names) - set(PARTS):
        parser.error(f"--only does not know {', '.join(sorted(unknown))}")
    raise_descriptor_limit()
    pin(LOAD_CORE)
    effort = Effort.quick() if options.quick else Effort()
    tables: dict[str, Table] = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        with Valkey() as valkey:
            table = tables[name] = PARTS[name](valkey, effort)
        print("\n".join([table.title, *columns(table.rows), ""]), flush=True)
    if options.json:
        report = {name: asdict(table) for name, table in tables.items()}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if any(table.faults for table in tables.values()) else 0


def interrupt(*_: object) -> None:
    """SIGTERM ends the run as Ctrl-C does: every server is ended first."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupt)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
