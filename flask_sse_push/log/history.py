"""The history: recent entries by channel, limited in number, age and memory."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter

from ..events import START, Entry, Position

# The memory of an entry besides its frame: the objects, the list slot and the ordered
# dict's node (measured with sys.getsizeof over a filled history).
_ENTRY_BYTES = 420
# The most floors that are kept of channels without entries. Beyond it the oldest floors
# are merged into one: a client may then be told of a gap although it missed nothing,
# but a real gap is never hidden.
_MOST_FLOORS = 65_536
# The most entries that one call drops because of their age.
_EXPIRED_AT_ONCE = 200

_position = attrgetter("position")


class _Channel:
    __slots__ = ("entries", "floor")

    def __init__(self, floor: Position) -> None:
        self.entries: list[Entry] = []
        self.floor = floor


class History:
    """Recent entries of the event log by channel, and the floor of each channel.

    A channel's *floor* is the position of the newest entry that was dropped from it. A
    client whose cursor is at the floor or after it resumes without loss; for any other
    client there is a gap. This class is not thread-safe; the hub's lock guards it.

    :param size: the most entries of one channel.
    :param seconds: the age at which an entry is dropped.
    :param most_bytes: the most memory for all channels together; beyond it, the oldest
        entries are dropped.
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
        self._channels: dict[str, _Channel] = {}
        self._entries: OrderedDict[Position, Entry] = OrderedDict()
        self._floors: OrderedDict[str, Position] = OrderedDict()
        self._base = START
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """The estimated memory of the entries, in bytes."""
        return self._bytes

    def reset(self, base: Position) -> None:
        """Drop everything; entries before ``base`` are unknown from now on."""
        self._channels.clear()
        self._entries.clear()
        self._floors.clear()
        self._base = base
        self._bytes = 0

    def add(self, entry: Entry) -> None:
        """Add an entry. It must be newer than all entries held."""
        channel = self._channels.get(entry.channel)
        if channel is None:
            floor = self._floors.pop(entry.channel, START)
            channel = self._channels[entry.channel] = _Channel(floor)
        channel.entries.append(entry)
        self._entries[entry.position] = entry
        self._bytes += len(entry.frame) + _ENTRY_BYTES
        if len(channel.entries) > self._size:
            self._let_go(channel.entries[0])
        while self._bytes > self._most_bytes and self._entries:
            self._let_go(next(iter(self._entries.values())))
        self.expire()

    def expire(self) -> None:
        """Drop entries that are too old; only a few at a time, to return quickly."""
        limit = (int((self._clock() - self._seconds) * 1000), 0)
        for _ in range(_EXPIRED_AT_ONCE):
            if not self._entries:
                break
            oldest = next(iter(self._entries.values()))
            if oldest.position >= limit:
                break
            self._let_go(oldest)

    def after(self, channels: Iterable[str], cursor: Position) -> list[Entry]:
        """The channels' entries that are newer than ``cursor``, in log order."""
        found: list[Entry] = []
        for name in channels:
            channel = self._channels.get(name)
            if channel is not None and channel.entries[-1].position > cursor:
                start = bisect_right(channel.entries, cursor, key=_position)
                found.extend(channel.entries[start:])
        found.sort(key=_position)
        return found

    def floor(self, channels: Iterable[str]) -> Position:
        """The earliest position after which none of the channels has lost an entry."""
        return max((self._floor(name) for name in channels), default=self._base)

    def discard(self, name: str, up_to: Position) -> int:
        """Remove a channel's entries up to a position; this does not count as a gap.

        Entries before that position that were dropped earlier no longer count as a gap
        either.

        :returns: the number of entries removed.
        """
        channel = self._channels.get(name)
        if self._floors.get(name, START) <= up_to:
            self._floors.pop(name, None)
        if channel is None:
            return 0
        if channel.floor <= up_to:
            channel.floor = START
        done = channel.entries[: bisect_right(channel.entries, up_to, key=_position)]
        for entry in done:
            self._remove(channel, entry)
        return len(done)

    def discard_each(self, name: str, positions: Collection[Position]) -> int:
        """Remove single entries of a channel without raising its floor.

        A client that acknowledges an entry was already told of the gap before it, so
        entries that were dropped before the newest removed one no longer count as a
        gap.

        :returns: the number of entries removed.
        """
        channel = self._channels.get(name)
        if channel is None:
            return 0
        wanted = set(positions)
        done = [entry for entry in channel.entries if entry.position in wanted]
        if done and channel.floor < done[-1].position:
            channel.floor = START
        for entry in done:
            self._remove(channel, entry)
        return len(done)

    def _floor(self, name: str) -> Position:
        channel = self._channels.get(name)
        floor = channel.floor if channel else self._floors.get(name, START)
        return max(floor, self._base)

    def _let_go(self, entry: Entry) -> None:
        channel = self._channels[entry.channel]
        channel.floor = entry.position
        self._remove(channel, entry)

    def _remove(self, channel: _Channel, entry: Entry) -> None:
        # remove() is fast, because the entry is the first in the list unless a user has
        # acknowledged it.
        channel.entries.remove(entry)
        del self._entries[entry.position]
        self._bytes -= len(entry.frame) + _ENTRY_BYTES
        if not channel.entries:
            del self._channels[entry.channel]
            if channel.floor > self._base:
                self._floors[entry.channel] = channel.floor
                if len(self._floors) > _MOST_FLOORS:
                    _, forgotten = self._floors.popitem(last=False)
                    self._base = max(self._base, forgotten)
