"""How much work a run does, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass, field

# The longest time, in seconds, that a round waits for its events.
SECONDS = 120.0
# Users without connections here, to whom events are sent.
OTHERS = 500


@dataclass(frozen=True)
class Effort:
    """How much work one run does.

    :param rounds: rounds of each measurement; a figure is their median.
    :param events: published in one round, by library and by whom.
    :param foreign: events for users of other workers in one round.
    :param log: entries in the event log when a worker starts.
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
        """Enough to see that everything works; the figures are not meaningful."""
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
