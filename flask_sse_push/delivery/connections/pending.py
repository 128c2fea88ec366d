"""What waits for a client that does not read as fast as events come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from ...events import Entry

#: As much as one write takes of what waits: about what a socket's buffer holds.
CHUNK_BYTES = 64 * 1024


class Pending:
    """Frames that wait for a client, in order.

    Of several frames with one ``coalesce`` key only the newest waits, at its own place
    in the order, so that ids still grow.

    :param limit: bytes that may wait.
    """

    __slots__ = ("_chunks", "_serial", "limit", "size")

    def __init__(self, limit: int) -> None:
        self._chunks: OrderedDict[int | tuple[str, str], bytes] = OrderedDict()
        self._serial = 0
        self.limit = limit
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    @property
    def overflows(self) -> bool:
        """Whether more waits than may."""
        return self.size > self.limit

    def add(self, frame: bytes) -> None:
        """Append bytes that replace nothing."""
        self._serial += 1
        self._chunks[self._serial] = frame
        self.size += len(frame)

    def add_entries(self, entries: Sequence[Entry]) -> None:
        """Append the entries' frames."""
        for entry in entries:
            if entry.coalesce is None:
                self.add(entry.frame)
            else:
                key = (entry.channel, entry.coalesce)
                self.size -= len(self._chunks.pop(key, b""))
                self._chunks[key] = entry.frame
                self.size += len(entry.frame)

    def append(self, frame: bytes, entries: Sequence[Entry]) -> None:
        """Append one write: the entries whose frames it joins, or else its bytes."""
        if entries:
            self.add_entries(entries)
        else:
            self.add(frame)

    def take(self) -> bytes:
        """Remove and return the first frames, joined to about one chunk."""
        taken: list[bytes] = []
        size = 0
        while self._chunks and size < CHUNK_BYTES:
            _, frame = self._chunks.popitem(last=False)
            taken.append(frame)
            size += len(frame)
        self.size -= size
        return b"".join(taken)

    def put_back(self, rest: bytes) -> None:
        """Return what a write did not take; it goes first again."""
        # Serial numbers grow from 1, so 0 is free; one rest exists at a time.
        self._chunks[0] = rest
        self._chunks.move_to_end(0, last=False)
        self.size += len(rest)
