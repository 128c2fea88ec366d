"""The open connections of this process, by channel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle

from ..events import (
    ALL,
    Channel,
    Membership,
    channel_member,
    group_channel,
    user_channel,
)
from ..runtime.concurrency import give_way, native_lock
from .connections import CARRIERS, Connection

# Connections are distributed over slots. Work on all of them goes slot by slot, so that
# other greenlets run in between and heartbeats are spread over time.
_SLOTS = 16
# Connections between two pauses in which other greenlets run.
_SLICE = 128


class Registry:
    """The open connections, by user and by group.

    ``lock`` guards the registry. Reading the history and adding the connection that
    replays it happen under it as one step. It is a native lock, so code that holds it
    only changes memory: it does not wait, write to a client, start a greenlet or
    thread, or log.
    """

    def __init__(self) -> None:
        self.lock = native_lock()
        self.count = 0
        #: How many connections each carrier has.
        self.carriers = dict.fromkeys(CARRIERS, 0)
        self.slots: tuple[set[Connection], ...] = tuple(set() for _ in range(_SLOTS))
        # Users have few connections, groups have many. For each user a tuple of one
        # connection takes 170 bytes less than a set.
        self._users: dict[Channel, tuple[Connection, ...]] = {}
        self._groups: dict[Channel, set[Connection]] = {}
        # Channels of users whose number of connections has changed since the last call
        # of take_changes(); None before the first call.
        self._changed: set[Channel] | None = None
        # The same for pairs of group and user, and take_group_changes().
        self._changed_groups: set[tuple[Channel, Channel]] | None = None
        # Users whose first connection has opened or whose last one has closed, in
        # order; None before the first call of take_arrivals().
        self._arrivals: list[tuple[Channel, bool]] | None = None
        self._next_slot = cycle(range(_SLOTS))

    def add(self, connection: Connection) -> None:
        """Add an open connection. Call it under the lock."""
        connection.slot = next(self._next_slot)
        self.slots[connection.slot].add(connection)
        self.count += 1
        self.carriers[connection.carrier] += 1
        channel = connection.user_channel
        if channel is not None:
            own = self._users.get(channel, ())
            self._users[channel] = (*own, connection)
            if not own and self._arrivals is not None:
                self._arrivals.append((channel, True))
            if self._changed is not None:
                self._changed.add(channel)
        for group in connection.groups:
            self._join(connection, group)

    def remove(self, connection: Connection) -> None:
        """Remove a connection that was added. Call it under the lock."""
        self.slots[connection.slot].discard(connection)
        self.count -= 1
        self.carriers[connection.carrier] -= 1
        channel = connection.user_channel
        if channel is not None:
            if self._changed is not None:
                self._changed.add(channel)
            rest = tuple(c for c in self._users[channel] if c is not connection)
            if rest:
                self._users[channel] = rest
            else:
                del self._users[channel]
                if self._arrivals is not None:
                    self._arrivals.append((channel, False))
        for group in connection.groups:
            self._leave(connection, group)

    def _join(self, connection: Connection, group: Channel) -> None:
        self._groups.setdefault(group, set()).add(connection)
        self._note_group(connection, group)

    def _leave(self, connection: Connection, group: Channel) -> None:
        members = self._groups[group]
        members.discard(connection)
        if not members:
            del self._groups[group]
        self._note_group(connection, group)

    def _note_group(self, connection: Connection, group: Channel) -> None:
        user = connection.user_channel
        if user is not None and self._changed_groups is not None:
            self._changed_groups.add((group, user))

    def change_groups(self, change: Membership) -> None:
        """Add a user's connections to a group, or remove them from it."""
        group = change.group
        with self.lock:
            for connection in self._users.get(change.user, ()):
                is_in = group in connection.groups
                if is_in == change.joins or connection.groups_at >= change.position:
                    continue
                if change.joins:
                    connection.groups = (*connection.groups, group)
                    self._join(connection, group)
                else:
                    connection.groups = tuple(
                        other for other in connection.groups if other != group
                    )
                    self._leave(connection, group)

    def slices(self, size: int) -> Iterator[tuple[Connection, ...]]:
        """All connections, ``size`` at a time; some may open or close meanwhile."""
        for slot in self.slots:
            with self.lock:
                connections = tuple(slot)
            for start in range(0, len(connections), size):
                yield connections[start : start + size]

    def all(self) -> Iterator[Connection]:
        """All connections, with pauses in which other greenlets run."""
        for connections in self.slices(_SLICE):
            yield from connections
            give_way()

    def of_user(self, channel: Channel) -> tuple[Connection, ...]:
        """One user's connections."""
        return self._users.get(channel, ())

    def on(self, channel: Channel) -> Iterable[Connection]:
        """The connections of one user or of one group's members."""
        users = self._users.get(channel)
        if users is not None:
            return users
        with self.lock:
            return tuple(self._groups.get(channel, ()))

    def has_any(self, channel: Channel) -> bool:
        """Whether any connection receives the channel."""
        if channel == ALL:
            return self.count > 0
        return channel in self._users or channel in self._groups

    # The protocol Connected: a backend reports these numbers to other workers.

    def client_count(self) -> int:
        """How many connections are open."""
        return self.count

    def connections_by_user(self) -> dict[str, int]:
        """How many connections each user has."""
        with self.lock:
            return self._counts(self._users)

    def take_changes(self) -> dict[str, int]:
        """The users whose number of connections has changed since the last call.

        :returns: the numbers by user id. The first call returns all connected users.
        """
        with self.lock:
            changed = self._users if self._changed is None else self._changed
            self._changed = set()
            return self._counts(changed)

    def take_arrivals(self) -> list[tuple[str, bool]]:
        """Users who got their first or lost their last connection since the last call.

        :returns: pairs of user id and whether the user is connected, in order. The
            first call returns all connected users.
        """
        with self.lock:
            arrivals = self._arrivals
            self._arrivals = []
            if arrivals is None:
                arrivals = [(channel, True) for channel in self._users]
        return [(channel_member(channel), is_here) for channel, is_here in arrivals]

    def is_user_connected(self, user_id: str) -> bool:
        """Whether a user has a connection."""
        return user_channel(user_id) in self._users

    def group_users(self, group: str) -> set[str]:
        """The users with a connection in a group."""
        with self.lock:
            members = self._groups.get(group_channel(group), ())
            return {c.user_id for c in members if c.user_id is not None}

    def group_members(self) -> set[tuple[str, str]]:
        """All pairs of a group and a user with a connection in it."""
        with self.lock:
            pairs = {
                (group, connection.user_channel)
                for group, members in self._groups.items()
                for connection in members
                if connection.user_channel is not None
            }
        return {(channel_member(g), channel_member(u)) for g, u in pairs}

    def take_group_changes(self) -> dict[tuple[str, str], bool]:
        """The pairs that have changed since the last call, and whether they exist now.

        :returns: whether a pair exists, by group and user id. The first call returns
            all pairs.
        """
        with self.lock:
            changed, self._changed_groups = self._changed_groups, set()
            if changed is not None:
                return {
                    (channel_member(group), channel_member(user)): any(
                        group in connection.groups
                        for connection in self._users.get(user, ())
                    )
                    for group, user in changed
                }
        return dict.fromkeys(self.group_members(), True)

    def _counts(self, channels: Iterable[Channel]) -> dict[str, int]:
        users = self._users
        return {channel_member(c): len(users.get(c, ())) for c in channels}
