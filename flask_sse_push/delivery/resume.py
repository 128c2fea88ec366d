"""The position from which a client resumes, read from its ``Last-Event-ID``."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from ..events import START, Position

# How far ahead of this process a cursor may be, in milliseconds: its client may come
# from a worker that has read more of the event log, or whose clock is ahead.
_AHEAD_MS = 10_000


@dataclass(frozen=True, slots=True)
class Resume:
    """The position from which a client resumes.

    :param cursor: the client gets every event after this position.
    :param since: the event id that the client sent, if it is from this event log.
    :param is_lost: whether events may be missing before the cursor, because the client
        sent an id that is not from this event log, or one that is too old for it.
    :param held: the position of ``since``.
    """

    cursor: Position
    since: str | None = None
    is_lost: bool = False
    held: Position | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the client has no valid id to resume from."""
        return self.since is None

    def not_before(self, position: Position) -> Resume:
        """The same, but from the given position if the cursor is earlier."""
        if self.is_fresh or self.cursor >= position:
            return self
        return replace(self, cursor=position, is_lost=True)

    def start(self, *missed: Position | None) -> Position:
        """The cursor with which a stream opens, if more follows before the new events.

        A client that is cut off after it gets everything that it has missed when it
        resumes from there, and is told of the same gap.

        :param missed: the first event that follows, and an event that was lost, if any.
        """
        start = self.cursor
        if self.held is not None:
            start = self.held
        elif self.is_lost:
            start = START
        for position in missed:
            # Mailboxes and retained events hold events from before a new client.
            if position is not None and position <= start:
                start = max((position[0] - 1, 0), START)
        return start

    @classmethod
    def read(
        cls,
        last_event_id: str | None,
        cursor: Position | None,
        *,
        now: Position,
        is_memory: bool,
    ) -> Resume:
        """Judge the event id that a client sent.

        :param last_event_id: untrusted input from the client.
        :param cursor: the position of that id, or ``None`` if it is not an event id.
        :param now: the newest position that this process has read.
        :param is_memory: whether the event log is in this process's memory. Then no
            other worker can be ahead, and an id in the future means that the clock was
            set back.
        """
        if not last_event_id:
            return cls(now)
        newest = max(now[0], time.time_ns() // 1_000_000)
        ahead = 0 if is_memory else _AHEAD_MS
        if cursor is None or cursor[0] > newest + ahead:
            return cls(now, is_lost=True)
        return cls(cursor, since=last_event_id, held=cursor)
