"""Users whose clients were removed recently; their older tickets are refused."""

from __future__ import annotations

from collections import OrderedDict

from ..events import START, Channel, Position, Removal

_MOST = 10_000


class Removals:
    """The newest removal of each user.

    Not thread-safe: call :meth:`note` under the hub's lock.

    :param most: the number of users to remember. Beyond it, the oldest removal is
        forgotten and counts for every user instead.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._newest: OrderedDict[Channel, Position] = OrderedDict()
        self._base = START

    def note(self, removal: Removal) -> None:
        """Remember a removal. It must be newer than all earlier ones."""
        self._newest[removal.user] = removal.position
        self._newest.move_to_end(removal.user)
        if len(self._newest) > self._most:
            _, self._base = self._newest.popitem(last=False)

    def has_after(self, user: Channel, position: Position) -> bool:
        """Whether a user may have been removed after a position in the event log."""
        return max(self._newest.get(user, START), self._base) > position
