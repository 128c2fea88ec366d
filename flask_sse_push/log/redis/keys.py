"""The names of the keys."""

from __future__ import annotations


class Keys:
    """The names of all keys, under one hash tag."""

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{{{prefix}}}"
        self.log = f"{self._prefix}:log"
        self.workers = f"{self._prefix}:workers"
        self.online = f"{self._prefix}:online"
        self.retaining = f"{self._prefix}:retaining"
        self.reaping = f"{self._prefix}:reaping"

    def mailbox(self, user_id: str) -> str:
        """A user's mailbox. The id is the key's whole rest: nothing needs escaping."""
        return f"{self._prefix}:mailbox:{user_id}"

    def mailbox_lost(self, user_id: str) -> str:
        """The id of the newest entry that a user's mailbox has dropped."""
        return f"{self._prefix}:mailbox-lost:{user_id}"

    def retained(self, channel: str) -> str:
        """The newest events of a channel's keys."""
        return f"{self._prefix}:retained:{channel}"

    def retained_ids(self, channel: str) -> str:
        """The ids of these events, by key."""
        return f"{self._prefix}:retained-ids:{channel}"

    def limit(self, key: str) -> str:
        """The window of a rate limit."""
        return f"{self._prefix}:limit:{key}"

    def presence(self, worker_id: str) -> str:
        """Who is connected to a worker."""
        return f"{self._prefix}:presence:{worker_id}"

    def groups(self, worker_id: str) -> str:
        """Which of a worker's users are in which groups."""
        return f"{self._prefix}:groups:{worker_id}"

    def told(self, worker_id: str) -> str:
        """Who came and went, as a worker was told and has not confirmed."""
        return f"{self._prefix}:told:{worker_id}"
