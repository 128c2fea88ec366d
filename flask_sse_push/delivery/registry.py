"""Who is connected to this process, and on which channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle

from ..events import ALL
from ..runtime.concurrency import give_way, native_lock
from .connections import Connection

# Connections are dealt over slots, and whatever concerns all goes slot by slot: in
# between others get their turn, and heartbeats are spread over time.
_SLOTS = 16
# Connections between two chances for other greenlets.
_SLICE = 128


class Registry:
    """The open connections, by user and by group.

    Whoever changes it holds ``lock``, for a few instructions that never wait: nothing
    is logged, started or written to meanwhile.
    """

    def __init__(self) -> None:
        self.lock = native_lock()
        self.count = 0
        self.slots: tuple[set[Connection], ...] = tuple(set() for _ in range(_SLOTS))
        # Users have few connections, groups many: a tuple of one is 170 bytes less
        # than a set, for every user.
        self._users: dict[str, tuple[Connection, ...]] = {}
        self._groups: dict[str, set[Connection]] = {}
        # Users' channels with connections more or less than when last asked; None
        # while nobody asks.
        self._changed: set[str] | None = None
        self._next_slot = cycle(range(_SLOTS))

    def add(self, connection: Connection) -> None:
        """Note an open connection. Under the lock."""
        connection.slot = next(self._next_slot)
        self.slots[connection.slot].add(connection)
        self.count += 1
        channel = connection.user_channel
        if channel is not None:
            self._users[channel] = (*self._users.get(channel, ()), connection)
            if self._changed is not None:
                self._changed.add(channel)
        for group in connection.groups:
            self._groups.setdefault(group, set()).add(connection)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that was added. Under the lock."""
        self.slots[connection.slot].discard(connection)
        self.count -= 1
        channel = connection.user_channel
        if channel is not None:
            if self._changed is not None:
                self._changed.add(channel)
            rest = tuple(c for c in self._users[channel] if c is not connection)
            if rest:
                self._users[channel] = rest
            else:
                del self._users[channel]
        for group in connection.groups:
            members = self._groups[group]
            members.discard(connection)
            if not members:
                del self._groups[group]

    def slices(self, size: int) -> Iterator[tuple[Connection, ...]]:
        """Every connection, ``size`` at a time; some may open or close meanwhile."""
        for slot in self.slots:
            with self.lock:
                connections = tuple(slot)
            for start in range(0, len(connections), size):
                yield connections[start : start + size]

    def all(self) -> Iterator[Connection]:
        """Every connection; others get a chance now and then."""
        for connections in self.slices(_SLICE):
            yield from connections
            give_way()

    def of_user(self, channel: str) -> tuple[Connection, ...]:
        """One user's connections."""
        return self._users.get(channel, ())

    def on(self, channel: str) -> Iterable[Connection]:
        """The connections of one user or of one group's members."""
        users = self._users.get(channel)
        if users is not None:
            return users
        with self.lock:
            return tuple(self._groups.get(channel, ()))

    def has_any(self, channel: str) -> bool:
        """Whether anybody stands on the channel."""
        if channel == ALL:
            return self.count > 0
        return channel in self._users or channel in self._groups

    def users(self) -> dict[str, int]:
        """How many connections each user has."""
        with self.lock:
            return self._counts(self._users)

    def take_changes(self) -> dict[str, int]:
        """The same, but only of those for whom it changed since this was last asked."""
        with self.lock:
            changed = self._users if self._changed is None else self._changed
            self._changed = set()
            return self._counts(changed)

    def _counts(self, channels: Iterable[str]) -> dict[str, int]:
        return {
            channel.removeprefix("user:"): len(self._users.get(channel, ()))
            for channel in channels
        }
