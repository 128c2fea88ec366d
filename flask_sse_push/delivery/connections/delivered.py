"""Which mailbox events a client has been given, as far as the server can tell.

No client says so by itself. What counts is that the client's TCP has acknowledged an
event's bytes, and that the stream was then left open for a moment: a page that was just
being left has acknowledged bytes that nobody was shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...events import Entry, Position
from ...runtime.concurrency import native_lock

#: Seconds for which a stream must stay open after an event was written.
SETTLE_SECONDS: Final = 2.0
#: Seconds between two writes of which the second shows that the first has arrived,
#: where the server keeps its socket to itself. To a client that is gone the first write
#: still succeeds; its TCP answers with a reset, and the next write fails.
ECHO_SECONDS: Final = 1.0
#: Seconds between an event's write and the client's own end of the stream that make the
#: event delivered: both may cross on their way. Half a second covers most ways through
#: a proxy, whose own connection tells nothing of its client's.
CLOSING_SECONDS: Final = 0.5
#: The same without a proxy, beside the round-trip time. Chromium hands an event to a
#: page that is being left within 10 ms; within 60 and 141 ms on a machine with 4 and 6
#: times the load that it has cores for (measured over 1,000 navigations).
DIRECT_CLOSING_SECONDS: Final = 0.15
#: Seconds more for what a stream opens with, while the page is still loading.
OPENING_SECONDS: Final = 0.1

# One for all, because a connection has no room for its own: it is held for some tens of
# nanoseconds.
_lock = native_lock()


class Marks:
    """The mailbox events of a connection whose delivery is not certain yet."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        # Of each: how many bytes had been written with it, when, and its position.
        # Every user's connection has one, and an empty deque takes 600 bytes more.
        self._marks: list[tuple[int, float, Position]] = []

    def __bool__(self) -> bool:
        return bool(self._marks)

    def add(self, written: int, now: float, position: Position) -> None:
        """Note an event that was written.

        :param written: bytes of the stream up to the event's end.
        :param now: the moment, on the monotonic clock.
        """
        with _lock:
            self._marks.append((written, now, position))

    def has_any(self, acknowledged: int, before: float) -> bool:
        """Whether :meth:`take` would find an event."""
        with _lock:
            if not self._marks:
                return False
            written, time, _ = self._marks[0]
            return written <= acknowledged and time <= before

    def take(self, acknowledged: int, before: float) -> Position | None:
        """Forget the events that have been delivered.

        :param acknowledged: bytes of the stream that the client's TCP has.
        :param before: only events that were written up to this moment count.
        :returns: the newest of them, ``None`` if there is none.
        """
        with _lock:
            count = 0
            for written, time, _ in self._marks:
                if written > acknowledged or time > before:
                    break
                count += 1
            newest = self._marks[count - 1][2] if count else None
            del self._marks[:count]
        return newest


def newest_mail(entries: Sequence[Entry]) -> Position | None:
    """The position of the newest entry that is in a mailbox."""
    return next((e.position for e in reversed(entries) if e.mailbox), None)
