"""Events sent as fast as possible, through views and from a script."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.load import LoadClient, Tally
from benchmarks.process import wait_for_quiet_core
from benchmarks.requests import RequestConnection, request_bytes
from benchmarks.scaling.effort import SECONDS, Effort
from benchmarks.scaling.results import Table
from benchmarks.scaling.valkey import Valkey
from benchmarks.scaling.workers import FlaskSSEWorkers, Workers, load_client
from benchmarks.wire import marked_body

_CLIENTS = 50
# The most unanswered requests of one connection, and the number of connections.
_WINDOW, _PUBLISHERS = 16, 4


@dataclass
class Throughput:
    """One round of publishing as fast as possible."""

    events_s: float
    worker_us: float
    valkey_us: float
    publisher_us: float
    load_share: float
    tally: Tally


def throughput(valkey: Valkey, effort: Effort) -> Table:
    """Events until all clients of both workers have them; the same for Flask-SSE."""
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
            with kind(valkey) as workers, load_client(workers) as client:
                plain = kind is FlaskSSEWorkers and how == "all"
                users = [f"u{number}" for number in range(_CLIENTS)]
                workers.open(client, [""] * _CLIENTS if plain else users)
                connections = valkey.clients()
                # To several users at once, if the library supports it.
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
    with Workers(valkey) as workers, load_client(workers) as client:
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
    # Requests of one connection are handled in turn, so their order is defined.
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
        client.run(publish, seconds=SECONDS)
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
            client.run(lambda: client.complete, seconds=SECONDS)
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
