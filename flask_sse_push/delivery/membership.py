"""The groups of a stream that is being opened while they change."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakSet

from ..events import Channel, Membership, Position


class Watch:
    """The joins and leaves of one user since the groups of a stream were asked for.

    Whoever tells the groups may have looked before a change or after it; applied once
    more, in log order, the changes give the same groups in both cases.
    """

    __slots__ = ("__weakref__", "changes", "user")

    def __init__(self, user: Channel) -> None:
        self.user = user
        self.changes: list[Membership] = []


class Watches:
    """The streams that are being opened. Call everything under the registry's lock."""

    def __init__(self) -> None:
        # A response that is never sent takes its watch along.
        self._watches: WeakSet[Watch] = WeakSet()

    def open(self, user: Channel | None) -> Watch | None:
        """Note from now on what changes for a user; an anonymous stream has nothing."""
        if user is None:
            return None
        watch = Watch(user)
        self._watches.add(watch)
        return watch

    def note(self, change: Membership) -> None:
        """Keep a change for those it concerns."""
        for watch in self._watches:
            if watch.user == change.user:
                watch.changes.append(change)


def apply_changes(
    groups: Sequence[Channel], changes: Sequence[Membership]
) -> tuple[Channel, ...]:
    """The groups after the changes."""
    members = dict.fromkeys(groups)
    for change in changes:
        if change.joins:
            members[change.group] = None
        else:
            members.pop(change.group, None)
    return tuple(members)


def was_member(
    groups: Sequence[Channel],
    changes: Sequence[Membership],
    group: Channel,
    position: Position,
) -> bool:
    """Whether an event of a group at a position was for a user with these groups."""
    before = [change for change in changes if change.position < position]
    return group in apply_changes(groups, before)
