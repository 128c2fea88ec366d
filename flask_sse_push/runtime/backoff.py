"""Growing pauses between retries, so that a failing server is not overloaded."""

from __future__ import annotations

from random import SystemRandom

# The system's own generator: the sequence of the ``random`` module belongs to the
# application, which may have seeded it, and a fork would repeat it in every worker.
_uniform = SystemRandom().uniform
# Seconds. The pause doubles from the first value up to the last.
_FIRST, _LAST = 0.05, 2.0


class Backoff:
    """The pauses between the retries of one operation.

    Each pause is shortened by a random amount, at most by half, so that many clients do
    not retry at the same moment.
    """

    def __init__(self) -> None:
        self._next = _FIRST

    @property
    def is_first(self) -> bool:
        """Whether no pause has been taken since the last success."""
        return self._next == _FIRST

    def take(self) -> float:
        """The next pause, in seconds."""
        pause = self._next * _uniform(0.5, 1.0)
        self._next = min(self._next * 2, _LAST)
        return pause

    def reset(self) -> None:
        """Start again with the shortest pause, after a success."""
        self._next = _FIRST
