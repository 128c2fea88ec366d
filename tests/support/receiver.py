"""A receiver that records the entries that a backend hands to it."""

from __future__ import annotations

from flask_sse_push.events import Control, Entry, Membership, Position, Removal


class Recorder:
    """Stands in for the hub and its registry of connections."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.removals: list[Removal] = []
        self.memberships: list[Membership] = []
        self.restarts: list[Position] = []
        self.users: dict[str, int] = {}
        self.anonymous = 0
        self.groups: set[tuple[str, str]] = set()
        #: Who came online and who went offline.
        self.told: list[tuple[str, bool]] = []
        self._told: dict[str, int] = {}
        self._known: set[str] = set()
        self._told_groups: set[tuple[str, str]] = set()

    @property
    def frames(self) -> list[bytes]:
        """The frames of the delivered entries."""
        return [entry.frame for entry in self.entries]

    @property
    def texts(self) -> list[str]:
        """The data of the delivered events."""
        return [
            line.removeprefix("data: ")
            for frame in self.frames
            for line in frame.decode().split("\n")
            if line.startswith("data: ")
        ]

    def deliver(self, entry: Entry | Control) -> None:
        if isinstance(entry, Removal):
            self.removals.append(entry)
        elif isinstance(entry, Membership):
            self.memberships.append(entry)
        else:
            self.entries.append(entry)

    def tell(self, user_id: str, is_online: bool) -> None:
        self.told.append((user_id, is_online))

    def restart(self, base: Position) -> None:
        self.restarts.append(base)

    def client_count(self) -> int:
        return sum(self.users.values()) + self.anonymous

    def connections_by_user(self) -> dict[str, int]:
        return dict(self.users)

    def take_changes(self) -> dict[str, int]:
        users, told = dict(self.users), self._told
        self._told = users
        return {
            user: users.get(user, 0)
            for user in users.keys() | told.keys()
            if users.get(user) != told.get(user)
        }

    def take_arrivals(self) -> list[tuple[str, bool]]:
        users, known = set(self.users), self._known
        self._known = users
        gone = [(user, False) for user in sorted(known - users)]
        return gone + [(user, True) for user in sorted(users - known)]

    def is_user_connected(self, user_id: str) -> bool:
        return user_id in self.users

    def group_users(self, group: str) -> set[str]:
        return {user for name, user in self.groups if name == group}

    def group_members(self) -> set[tuple[str, str]]:
        return set(self.groups)

    def take_group_changes(self) -> dict[tuple[str, str], bool]:
        groups, told = set(self.groups), self._told_groups
        self._told_groups = groups
        return {pair: pair in groups for pair in groups ^ told}
