"""Whose connections were removed of late, so that no old ticket lets them in again."""

from __future__ import annotations

from collections import OrderedDict

from ..events import START, Channel, Position, Removal

_MOST = 10_000


class Removals:
    """The newest removal of each user. Not safe for threads; the hub guards writing.

    :param most: users that are remembered. Past this many, the oldest removals are
        joined into one that holds for everybody.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._newest: OrderedDict[Channel, Position] = OrderedDict()
        self._base = START

    def note(self, removal: Removal) -> None:
        """Remember a removal; it is newer than all before."""
        self._newest[removal.user] = removal.position
        self._newest.move_to_end(removal.user)
        if len(self._newest) > self._most:
            _, self._base = self._newest.popitem(last=False)

    def has_after(self, user: Channel, position: Position) -> bool:
        """Whether a user may have been removed after a place in the log."""
        return max(self._newest.get(user, START), self._base) > position
