"""The figures of one run, and the statistics they need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from benchmarks.load import Tally


@dataclass(frozen=True)
class Effort:
    """How much work one run does.

    :param few: a smaller number of connections, to measure sending to one user again.
    :param blocks: parts of the paced phase; its figure is their median.
    :param rounds: broadcasts in one part.
    :param bursts: bursts of ``burst_events`` events; the figure is their median.
    :param connects: connections of one round of the per-connect comparison.
    :param quiet_seconds: the longest wait, before a phase, for an idle core.
    """

    connections: int = 6000
    few: int = 100
    blocks: int = 5
    rounds: int = 6
    bursts: int = 3
    burst_events: int = 40
    send_seconds: float = 6.0
    sends_per_second: int = 500
    ping_seconds: float = 10.0
    pings_per_second: int = 100
    connects: int = 2000
    connect_rounds: int = 3
    quiet_seconds: float = 20.0

    @classmethod
    def quick(cls, connections: int) -> Effort:
        """Enough to see that everything works; the figures are not meaningful."""
        return cls(
            connections=connections,
            few=min(10, connections),
            blocks=2,
            rounds=3,
            bursts=1,
            send_seconds=0.5,
            ping_seconds=1.0,
            connects=100,
            connect_rounds=1,
            quiet_seconds=0.0,
        )


@dataclass
class Figures:
    """The figures of one server. CPU in µs, latency in ms, memory in KiB.

    ``None`` means that the server cannot do this.

    :param paced_us: CPU per delivery, one broadcast at a time.
    :param paced_all_ms: from publishing one broadcast until the last client has it.
    :param burst_us: CPU per delivery, the burst pipelined on one connection.
    :param burst_waiting_us: the same, each event published after the last answer.
    :param send_us: CPU per event to one user of all, its POST request included.
    :param send_few_us: the same with few connections open.
    :param connect_us: CPU per stream opened.
    :param load_share: the load client's busy time in its busiest phase; near 1 it, not
        the server, sets the pace.
    :param delayed: the share of a phase in which the server, or the load client, was
        ready to run and other programs had its core, by phase; a latency means nothing
        where this is high.
    """

    name: str
    title: str
    connections: int
    paced_us: float | None = None
    paced_all_ms: float | None = None
    burst_us: float | None = None
    burst_waiting_us: float | None = None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    send_us: float | None = None
    send_few_us: float | None = None
    ping_p50_ms: float | None = None
    ping_p99_ms: float | None = None
    memory_kib: float | None = None
    connect_us: float | None = None
    load_share: float = 0.0
    samples: dict[str, list[float]] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    delayed: dict[str, float] = field(default_factory=dict)

    @property
    def faults(self) -> int:
        """Lost, doubled, reordered and stray events and ended streams of all phases."""
        return sum(tally.faults for tally in self.tallies.values())

    def as_json(self) -> dict[str, object]:
        """The figures as JSON types."""
        lost = {phase: tally.lost for phase, tally in self.tallies.items()}
        return {**asdict(self), "lost": lost, "faults": self.faults}


@dataclass
class ConnectFigures:
    """CPU per connect of one kind, the median of rounds of ``count`` connects."""

    title: str
    count: int
    us: float
    samples: list[float]
    tally: Tally

    def as_json(self) -> dict[str, object]:
        """The figures as JSON types."""
        return {**asdict(self), "faults": self.tally.faults}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
