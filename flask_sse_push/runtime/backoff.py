"""Pauses between tries that grow, so that what is down is not also besieged."""

from __future__ import annotations

import random

# Seconds, doubled from the first to the last.
_FIRST, _LAST = 0.05, 2.0


class Backoff:
    """The pauses of one outage after the other.

    Each is shortened by up to a half at random, so that many do not try in step.
    """

    def __init__(self) -> None:
        self._next = _FIRST

    @property
    def is_first(self) -> bool:
        """Whether no pause has been taken since things last worked."""
        return self._next == _FIRST

    def take(self) -> float:
        """The next pause, in seconds."""
        pause = self._next * random.uniform(0.5, 1.0)
        self._next = min(self._next * 2, _LAST)
        return pause

    def reset(self) -> None:
        """Begin anew: it works again."""
        self._next = _FIRST
