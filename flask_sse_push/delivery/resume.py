"""Where a client goes on, as its ``Last-Event-ID`` says."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..events import Position

# How far ahead of this process a cursor may be, in milliseconds, when its client comes
# from a worker that has read more of the log, or whose clock is ahead.
_AHEAD_MS = 10_000


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a client goes on.

    :param cursor: everything after it is for the client to get.
    :param since: the id the client named, if it is one of this log.
    :param is_lost: whether the client named an id that says nothing here.
    """

    cursor: Position
    since: str | None = None
    is_lost: bool = False

    @property
    def is_fresh(self) -> bool:
        """Whether the client named no id to resume from."""
        return self.since is None

    @classmethod
    def read(
        cls,
        last_event_id: str | None,
        cursor: Position | None,
        *,
        now: Position,
        is_memory: bool,
    ) -> Resume:
        """Read what a client sent.

        :param last_event_id: nothing is assumed about it.
        :param cursor: the position it names, if it names one.
        :param now: the newest position that this process has read.
        :param is_memory: whether the log is this process's own. Then there is no other
            worker that could be ahead, only a clock that was set back.
        """
        if not last_event_id:
            return cls(now)
        newest = max(now[0], time.time_ns() // 1_000_000)
        ahead = 0 if is_memory else _AHEAD_MS
        if cursor is None or cursor[0] > newest + ahead:
            return cls(now, is_lost=True)
        return cls(cursor, since=last_event_id)
