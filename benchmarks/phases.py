"""The phases of measuring one server; it is idle before and after each."""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator

from benchmarks.figures import Effort, Figures, percentile
from benchmarks.load import LoadClient, Timer
from benchmarks.process import wait_for_quiet_core, waited_ns
from benchmarks.requests import RequestConnection, request_bytes
from benchmarks.servers import Publisher, Server
from benchmarks.wire import marked_body

PHASE_SECONDS = 90.0
_PUBLISHERS = 4
_PINGERS = 8
_WARM = 20


class Measurement:
    """Measures one started server; ``figures`` holds the results.

    :param server: started, and without connections.
    """

    def __init__(self, server: Server, effort: Effort) -> None:
        self._server = server
        self._effort = effort
        self._process = server.running
        self._client = LoadClient(server.port)
        self._count = 0
        count = _PUBLISHERS if server.views else 0
        self._requests: list[RequestConnection] = [
            self._client.add_requests() for _ in range(count)
        ]
        self._publishers = self._make_publishers()
        self._users: list[str] = []
        self.figures = Figures(server.name, server.title, effort.connections)

    def run(self) -> Figures:
        """All phases in order."""
        effort, figures = self._effort, self.figures
        try:
            self._warm_up()
            empty = self._process.memory_bytes()
            self._connect()
            time.sleep(1.0)
            held = self._process.memory_bytes() - empty
            figures.memory_kib = held / effort.connections / 1024
            self._paced()
            figures.burst_us = self._burst("burst", waiting=False)
            if self._server.views:
                figures.burst_waiting_us = self._burst("burst, waiting", waiting=True)
                self._ping()
                figures.send_us, latencies = self._send("send")
                figures.latency_p50_ms = percentile(latencies, 0.5)
                figures.latency_p99_ms = percentile(latencies, 0.99)
                self._thin_out()
                figures.send_few_us, _ = self._send("send, few")
        finally:
            self._client.shut()
        return figures

    # The phases

    def _warm_up(self) -> None:
        users = [f"warm{number}" for number in range(_WARM)]
        self._open(users)
        with self._phase("warm-up"):
            for _ in range(3):
                self._broadcast()
            self._wait()
        if self._server.views:
            with self._phase("warm-up, sends"):
                for user in users:
                    self._send_to(user, 1)
                for connection in self._requests:
                    connection.send(request_bytes("GET", "/ping"))
                self._wait()
        self._thin_out(keep=0)

    def _connect(self) -> None:
        users = [f"u{number}" for number in range(self._effort.connections)]
        with self._phase("connect"), self._cpu("connect") as cpu:
            self._open(users)
        self.figures.connect_us = cpu[0] / len(users) / 1000

    def _paced(self) -> None:
        effort = self._effort
        samples: list[float] = []
        walls: list[float] = []
        with self._phase("paced"):
            for _ in range(effort.blocks):
                with self._cpu("paced") as cpu:
                    for _ in range(effort.rounds):
                        start = time.monotonic_ns()
                        self._broadcast()
                        self._wait()
                        walls.append((time.monotonic_ns() - start) / 1e6)
                deliveries = effort.rounds * effort.connections
                samples.append(cpu[0] / deliveries / 1000)
        self.figures.samples["paced"] = samples
        self.figures.paced_us = statistics.median(samples)
        self.figures.paced_all_ms = statistics.median(walls)

    def _burst(self, name: str, *, waiting: bool) -> float:
        effort = self._effort
        samples: list[float] = []
        publisher = self._publishers[0]
        for number in range(effort.bursts):
            label = name if number == 0 else f"{name} {number + 1}"
            with self._phase(label), self._cpu(name) as cpu:
                if waiting:
                    for _ in range(effort.burst_events):
                        self._broadcast()
                        self._client.run(
                            lambda: publisher.outstanding == 0, seconds=PHASE_SECONDS
                        )
                else:
                    for _ in range(effort.burst_events):
                        self._broadcast()
                self._wait()
            deliveries = effort.burst_events * effort.connections
            samples.append(cpu[0] / deliveries / 1000)
        self.figures.samples[name] = samples
        return statistics.median(samples)

    def _ping(self) -> None:
        effort = self._effort
        request = request_bytes("GET", "/ping")
        pingers = [self._client.add_requests() for _ in range(_PINGERS)]
        times: list[float] = []
        turn = 0

        def ping(due_ns: int) -> None:
            nonlocal turn
            turn += 1
            pingers[turn % _PINGERS].send(
                request, lambda now: times.append((now - due_ns) / 1e6)
            )

        count = int(effort.ping_seconds * effort.pings_per_second)
        interval = 1_000_000_000 // effort.pings_per_second
        with self._phase("ping"), self._cpu("ping"):
            pings = Timer(interval, count, ping)
            broadcasts = Timer(
                1_000_000_000, int(effort.ping_seconds), lambda _: self._broadcast()
            )
            self._client.run(
                lambda: len(times) == count and self._client.complete,
                seconds=effort.ping_seconds + PHASE_SECONDS,
                timers=(pings, broadcasts),
                nap=0,
            )
        self.figures.ping_p50_ms = percentile(times, 0.5)
        self.figures.ping_p99_ms = percentile(times, 0.99)

    def _send(self, name: str) -> tuple[float, list[float]]:
        effort = self._effort
        chance = random.Random(1)
        sent: Counter[int] = Counter()
        latencies: list[int] = []

        def send(due_ns: int) -> None:
            place = chance.randrange(len(self._users))
            sent[place] += 1
            # The events of one user go over one connection, so their order is defined.
            self._send_to(self._users[place], sent[place], place % _PUBLISHERS)

        count = int(effort.send_seconds * effort.sends_per_second)
        with self._phase(name), self._cpu(name) as cpu:
            self._client.latencies_ns = latencies
            timer = Timer(1_000_000_000 // effort.sends_per_second, count, send)
            self._client.run(
                lambda: not timer.left and self._complete(),
                seconds=effort.send_seconds + PHASE_SECONDS,
                timers=(timer,),
                nap=0,
            )
            self._client.latencies_ns = None
        return cpu[0] / count / 1000, [value / 1e6 for value in latencies]

    def _thin_out(self, keep: int | None = None) -> None:
        keep = self._effort.few if keep is None else keep
        self._client.close(keep)
        del self._users[keep:]
        # Some servers notice a closed socket only when they write to it.
        with self._phase(f"thinned out to {keep}"):
            for _ in range(3):
                self._broadcast()
                self._wait()
                time.sleep(0.1)
        self._process.settled_cpu_ns()

    # The parts of the phases

    def _make_publishers(self) -> list[Publisher]:
        if self._requests:
            return [self._server.publisher(each) for each in self._requests]
        return [self._server.publisher(None)]

    def _open(self, users: list[str]) -> None:
        self._client.open([self._server.stream_request(user) for user in users])
        self._users = users

    def _broadcast(self) -> None:
        tally = self._client.tally
        connections = len(self._client.connections)
        self._count += 1
        tally.expected += connections
        number = self._client.base + self._count
        self._publishers[0].broadcast(marked_body(number, time.monotonic_ns()))

    def _send_to(self, user: str, nth: int, publisher: int = 0) -> None:
        self._client.tally.expected += 1
        number = self._client.base + nth
        body = marked_body(number, time.monotonic_ns())
        self._publishers[publisher].send(user, body)

    def _complete(self) -> bool:
        return self._client.complete and not any(
            publisher.outstanding for publisher in self._publishers
        )

    def _wait(self) -> bool:
        return self._client.run(self._complete, seconds=PHASE_SECONDS)

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._count = 0
        self._client.begin()
        yield
        self.figures.tallies[name] = self._client.tally

    @contextlib.contextmanager
    def _cpu(self, name: str) -> Iterator[list[int]]:
        used: list[int] = []
        wait_for_quiet_core(seconds=self._effort.quiet_seconds)
        before = self._process.settled_cpu_ns()
        start, busy = time.monotonic_ns(), self._client.busy_ns
        waited = self._process.waited_ns()
        waited_here = waited_ns(os.getpid())
        yield used
        wall = time.monotonic_ns() - start
        used.append(self._process.settled_cpu_ns() - before)
        figures = self.figures
        load = (self._client.busy_ns - busy) / wall
        figures.load_share = max(figures.load_share, load)
        server, client = self._process.waited_ns(), waited_ns(os.getpid())
        delayed = max(server - waited, client - waited_here) / wall
        figures.delayed[name] = max(figures.delayed.get(name, 0.0), delayed)
