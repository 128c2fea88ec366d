"""The names of the keys in Redis."""

from __future__ import annotations


class Keys:
    """The names of all keys. They share a hash tag, so a cluster keeps them together.

    :param prefix: the value of ``SSE_PUSH_KEY_PREFIX``.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{{{prefix}}}"
        self.log = f"{self._prefix}:log"
        self.workers = f"{self._prefix}:workers"
        self.online = f"{self._prefix}:online"
        self.retaining = f"{self._prefix}:retaining"
        self.reaping = f"{self._prefix}:reaping"

    def mailbox(self, user_id: str) -> str:
        """A user's mailbox. The id ends the key, so it needs no escaping."""
        return f"{self._prefix}:mailbox:{user_id}"

    def mailbox_lost(self, user_id: str) -> str:
        """The id of the newest entry that a user's mailbox has dropped."""
        return f"{self._prefix}:mailbox-lost:{user_id}"

    def retained(self, channel: str) -> str:
        """The newest event of each ``retain`` key on a channel."""
        return f"{self._prefix}:retained:{channel}"

    def retained_ids(self, channel: str) -> str:
        """The ids of the retained events of a channel, by ``retain`` key."""
        return f"{self._prefix}:retained-ids:{channel}"

    def limit(self, key: str) -> str:
        """The window in which events are counted against a rate limit."""
        return f"{self._prefix}:limit:{key}"

    def presence(self, worker_id: str) -> str:
        """The users connected to a worker, with their numbers of connections."""
        return f"{self._prefix}:presence:{worker_id}"

    def groups(self, worker_id: str) -> str:
        """The groups of the users connected to a worker."""
        return f"{self._prefix}:groups:{worker_id}"

    def told(self, worker_id: str) -> str:
        """The reports of users who came and left that a worker has not confirmed."""
        return f"{self._prefix}:told:{worker_id}"
