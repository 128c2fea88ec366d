"""Who is connected to any worker.

Each worker keeps a hash of its users and their connections, under a key that expires
unless it is refreshed: a worker that was killed disappears by itself. Only such a
hash's existence says that its worker lives, so no clocks are compared.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from ...errors import BackendError
from ..backend import Connected
from .keys import Keys
from .server import Command, Server

# Seconds after which a worker that is silent is taken for dead; between two signs of
# life; and between two looks for changes.
_EXPIRY_SECONDS, _REFRESH_SECONDS, _TICK_SECONDS = 15.0, 5.0, 0.25
# Workers long dead leave the list of workers this much later than the dead: their
# clocks may differ.
_FORGET_SECONDS = 3_600.0
# The field of a worker's total. No user has an empty id.
_TOTAL = b""


class Presence:
    """The workers' users: this one's written, all of them read."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        self._worker = uuid4().hex
        self._connected: Connected | None = None
        self._is_complete = False
        self._total = 0
        self._refreshed = 0.0
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def run(self, connected: Connected) -> None:
        """Write changes, and refresh, until :meth:`stop`."""
        self._connected = connected
        while not self._stopped.wait(_TICK_SECONDS):
            try:
                with self._lock:
                    self.write()
            except BackendError:
                # The reader of the log tells of it.
                self._stopped.wait(_TICK_SECONDS)

    def write(self) -> None:
        """Write what has changed since the last time.

        :raises BackendError: the server did not confirm; everything is written anew
            the next time.
        """
        connected = self._connected
        if connected is None or self._stopped.is_set():
            return
        changes = connected.take_changes()
        total = connected.client_count()
        now = time.monotonic()
        if (
            self._is_complete
            and not changes
            and total == self._total
            and now < self._refreshed + _REFRESH_SECONDS
        ):
            return
        key = self._keys.presence(self._worker)
        commands: list[Command] = []
        if not self._is_complete:
            changes = connected.connections_by_user()
            commands.append(("DEL", key))
        fields: list[str | bytes | int] = [_TOTAL, total]
        for user, count in changes.items():
            if count:
                fields.extend((user, count))
        commands.append(("HSET", key, *fields))
        gone = [user for user, count in changes.items() if not count]
        if gone:
            commands.append(("HDEL", key, *gone))
        expires = time.time() + _EXPIRY_SECONDS
        commands.append(("PEXPIRE", key, int(_EXPIRY_SECONDS * 1000)))
        commands.append(("ZADD", self._keys.workers, expires, self._worker))
        commands.append(
            ("ZREMRANGEBYSCORE", self._keys.workers, 0, expires - _FORGET_SECONDS)
        )
        self._is_complete = False
        self._server.call(("MULTI",), *commands, ("EXEC",))
        self._is_complete = True
        self._total, self._refreshed = total, now

    def forget(self) -> None:
        """Write everything anew the next time: the server may have lost it."""
        self._is_complete = False

    def stop(self) -> None:
        """Take this worker off the list."""
        self._stopped.set()
        if self._connected is None:
            return
        with self._lock, contextlib.suppress(BackendError):  # else it expires
            self._server.call(
                ("DEL", self._keys.presence(self._worker)),
                ("ZREM", self._keys.workers, self._worker),
            )

    def client_count(self) -> int:
        """Connections over all workers.

        :raises BackendError: the server did not answer.
        """
        here = self._connected.client_count() if self._connected else 0
        return here + sum(
            int(total) for total in self._ask_others("HGET", _TOTAL) if total
        )

    def connected_users(self) -> set[str]:
        """Users connected to any worker.

        :raises BackendError: the server did not answer.
        """
        users = {
            user.decode()
            for worker in self._ask_others("HKEYS")
            for user in worker
            if user != _TOTAL
        }
        if self._connected is not None:
            users.update(self._connected.connections_by_user())
        return users

    def is_user_connected(self, user_id: str) -> bool:
        """Whether a user is connected to any worker.

        :raises BackendError: the server did not answer.
        """
        if self._connected is not None and self._connected.is_user_connected(user_id):
            return True
        return any(self._ask_others("HEXISTS", user_id))

    def worker_count(self) -> int:
        """Workers that live.

        :raises BackendError: the server did not answer.
        """
        here = 0 if self._connected is None else 1
        return here + sum(int(exists) for exists in self._ask_others("EXISTS"))

    def _ask_others(self, command: str, *arguments: str | bytes) -> Sequence[Any]:
        """Ask for something of every other worker: two round trips, however many."""
        [workers] = self._server.call(("ZRANGE", self._keys.workers, 0, -1))
        commands = [
            (command, self._keys.presence(worker.decode()), *arguments)
            for worker in workers
            if worker.decode() != self._worker
        ]
        return self._server.call(*commands) if commands else ()
