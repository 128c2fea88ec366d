"""Frames that wait because a client reads more slowly than events arrive."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from ...events import Entry

#: The most bytes that one write takes: about the size of a socket's buffer.
CHUNK_BYTES = 64 * 1024


class Pending:
    """Frames that wait for a client, in order.

    Of several frames with the same ``coalesce`` key only the newest is kept, at its own
    place in the order, so that event ids still increase.

    :param limit: the most bytes that may wait.
    """

    __slots__ = ("_chunks", "_replaced", "_serial", "limit", "size")

    def __init__(self, limit: int) -> None:
        self._chunks: OrderedDict[int | tuple[str, str], bytes] = OrderedDict()
        self._serial = 0
        self._replaced = 0
        self.limit = limit
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    @property
    def unwritten(self) -> int:
        """Bytes that were appended and not taken, replaced ones included."""
        return self.size + self._replaced

    @property
    def overflows(self) -> bool:
        """Whether more bytes wait than the limit allows."""
        return self.size > self.limit

    def add(self, frame: bytes) -> None:
        """Append bytes that replace no other frame."""
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
                replaced = len(self._chunks.pop(key, b""))
                self.size -= replaced
                self._replaced += replaced
                self._chunks[key] = entry.frame
                self.size += len(entry.frame)

    def append(self, frame: bytes, entries: Sequence[Entry]) -> None:
        """Append entries, or bytes that are not an entry.

        :param frame: the bytes, or the entries' joined frames.
        :param entries: empty for bytes that are not an entry.
        """
        if entries:
            self.add_entries(entries)
        else:
            self.add(frame)

    def take(self) -> bytes:
        """Remove the first frames, about one chunk, and return them joined."""
        taken: list[bytes] = []
        size = 0
        while self._chunks and size < CHUNK_BYTES:
            _, frame = self._chunks.popitem(last=False)
            taken.append(frame)
            size += len(frame)
        self.size -= size
        return b"".join(taken)

    def put_back(self, rest: bytes) -> None:
        """Put back the bytes that could not be written, before all others."""
        # Serial numbers start at 1, so 0 is free; there is only one rest at a time.
        self._chunks[0] = rest
        self._chunks.move_to_end(0, last=False)
        self.size += len(rest)
