"""Decides which mailbox events have been delivered, as far as the server can know.

Clients do not report it. An event counts as delivered if the client's TCP has
acknowledged its bytes and the stream then stayed open for a moment. The acknowledgement
alone is not enough: while a user leaves a page, TCP still acknowledges bytes that the
page never handles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...events import Entry, Position
from ...runtime.concurrency import native_lock

#: Seconds for which a stream must stay open after an event was written.
SETTLE_SECONDS: Final = 2.0
#: Seconds after which a second write that succeeds proves that the first has arrived.
#: Used if the server gives no access to the socket. The first write to a client that
#: has disconnected still succeeds; TCP answers with a reset, and the next write fails.
ECHO_SECONDS: Final = 1.0
#: Seconds that must lie between the writing of an event and the client's end of the
#: stream, because the two may cross in the network. Half a second covers most networks
#: with a proxy, whose connection to the server does not show when its client closes.
CLOSING_SECONDS: Final = 0.5
#: The same without a proxy, in addition to the round-trip time. Chromium passes an
#: event to a page that is being left within 10 ms; with a load average of 4 and 6 times
#: the number of cores, within 60 and 141 ms (measured over 1,000 navigations).
DIRECT_CLOSING_SECONDS: Final = 0.15
#: Additional seconds for the events at the start of a stream, when the page may still
#: be loading.
OPENING_SECONDS: Final = 0.1

# All connections share one lock, to save memory. It is held for some tens of
# nanoseconds.
_lock = native_lock()


class Marks:
    """The mailbox events of a connection whose delivery is not certain yet."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        # For each event: the number of bytes of the stream up to its end, the time when
        # it was written, and its position. A list, because every user's connection has
        # one, and an empty deque takes 600 bytes more.
        self._marks: list[tuple[int, float, Position]] = []

    def __bool__(self) -> bool:
        return bool(self._marks)

    def add(self, written: int, now: float, position: Position) -> None:
        """Note an event that was written.

        :param written: bytes of the stream up to the event's end.
        :param now: the time of the write, on the monotonic clock.
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
        """Remove the events that have been delivered.

        :param acknowledged: bytes of the stream that the client's TCP has acknowledged.
        :param before: only events that were written up to this time, on the monotonic
            clock, count as delivered.
        :returns: the newest of them; ``None`` if there is none.
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
