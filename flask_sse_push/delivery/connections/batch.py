"""Entries that are written to connections together."""

from __future__ import annotations

from collections.abc import Sequence

from ...events import Entry, Position
from .delivered import newest_mail


class Batch:
    """Entries that are written together, joined once for all connections.

    :param entries: at least one entry, in log order.
    :param time: the time of the write, on the monotonic clock.
    """

    __slots__ = ("count", "entries", "first", "frame", "last", "mail", "size", "time")

    def __init__(self, entries: Sequence[Entry], time: float) -> None:
        self.entries = entries
        self.time = time
        self.count = len(entries)
        self.first = entries[0].position
        self.last = entries[-1].position
        self.frame = b"".join([entry.frame for entry in entries])
        self.size = len(self.frame)
        #: The position of the newest entry that is in a mailbox.
        self.mail = newest_mail(entries)

    def after(self, cursor: Position) -> Batch | None:
        """The part of the batch that is newer than a cursor; ``None`` if none is."""
        newer = [entry for entry in self.entries if entry.position > cursor]
        return Batch(newer, self.time) if newer else None
