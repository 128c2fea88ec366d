"""Group changes that happen while a stream is being opened."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakSet

from ..events import Channel, Membership, Position


class Watch:
    """The joins and leaves of one user since just before the groups were looked up.

    The lookup may or may not have included a change. Applying the changes again, in log
    order, gives the same groups in both cases.
    """

    __slots__ = ("__weakref__", "changes", "user")

    def __init__(self, user: Channel) -> None:
        self.user = user
        self.changes: list[Membership] = []


class Watches:
    """The streams that are being opened. Call all methods under the registry's lock."""

    def __init__(self) -> None:
        # Weak references: a response that is never sent takes its watch with it.
        self._watches: WeakSet[Watch] = WeakSet()

    def open(self, user: Channel | None) -> Watch | None:
        """Start collecting the changes of a user; ``None`` for an anonymous stream."""
        if user is None:
            return None
        watch = Watch(user)
        self._watches.add(watch)
        return watch

    def note(self, change: Membership) -> None:
        """Add a change to the watches of its user."""
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
    """Whether a user with these groups was in a group at a position."""
    before = [change for change in changes if change.position < position]
    return group in apply_changes(groups, before)
