"""Retained events in memory: the newest event of each key, for new streams."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from operator import attrgetter

from ..events import Channel, Entry, Position

# The memory of an entry besides its frame: the objects, and the slots of two dicts.
_ENTRY_BYTES = 500

_position = attrgetter("position")


class Retained:
    """Events by channel and key, bounded by count, age and bytes. Not thread-safe.

    :param size: the most keys of one channel; beyond it, the oldest event is dropped.
    :param seconds: the age at which an event is dropped.
    :param most_bytes: the most memory for all channels together; beyond it, the oldest
        events are dropped.
    :param clock: returns the time in seconds since 1970, as in positions.
    """

    def __init__(
        self,
        *,
        size: int,
        seconds: float,
        most_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._size = size
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._clock = clock
        # Both are in log order, because newer events are added at the end.
        self._channels: dict[Channel, dict[str, Entry]] = {}
        self._entries: OrderedDict[Position, Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def keep(self, entry: Entry) -> None:
        """Keep an entry, which must be newer than all entries kept so far.

        It replaces the entry of its channel with the same ``retain`` key.
        """
        if entry.retain is None:
            return
        keys = self._channels.get(entry.channel, {})
        if entry.retain in keys:
            self._let_go(keys[entry.retain])
        elif len(keys) >= self._size:
            self._let_go(next(iter(keys.values())))
        self._channels.setdefault(entry.channel, {})[entry.retain] = entry
        self._entries[entry.position] = entry
        self._bytes += len(entry.frame) + _ENTRY_BYTES
        while self._bytes > self._most_bytes:
            self._let_go(next(iter(self._entries.values())))
        self._expire()

    def after(self, channels: Iterable[Channel], position: Position) -> list[Entry]:
        """The entries of the channels after a position, in log order."""
        if not self._entries:
            return []
        self._expire()
        found = [
            entry
            for channel in channels
            for entry in self._channels.get(channel, {}).values()
            if entry.position > position
        ]
        found.sort(key=_position)
        return found

    def _expire(self) -> None:
        limit = (int((self._clock() - self._seconds) * 1000), 0)
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if oldest.position >= limit:
                return
            self._let_go(oldest)

    def _let_go(self, entry: Entry) -> None:
        assert entry.retain is not None
        keys = self._channels[entry.channel]
        del keys[entry.retain]
        if not keys:
            del self._channels[entry.channel]
        del self._entries[entry.position]
        self._bytes -= len(entry.frame) + _ENTRY_BYTES
