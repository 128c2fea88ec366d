"""A receiver that records the entries that a backend hands to it."""

from __future__ import annotations

from flask_sse_push.events import Entry, Position, Removal


class Recorder:
    """Stands in for the hub and its registry of connections."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.removals: list[Removal] = []
        self.restarts: list[Position] = []
        self.users: dict[str, int] = {}
        self.anonymous = 0
        self._told: dict[str, int] = {}

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

    def deliver(self, entry: Entry | Removal) -> None:
        if isinstance(entry, Removal):
            self.removals.append(entry)
        else:
            self.entries.append(entry)

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

    def is_user_connected(self, user_id: str) -> bool:
        return user_id in self.users
