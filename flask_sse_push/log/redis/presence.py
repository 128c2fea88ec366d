"""The users who are connected to any worker.

Each worker keeps a hash of its users and their numbers of connections. The key expires
unless the worker refreshes it, so a worker that was killed disappears after a while. A
worker counts as alive while its hash exists; no clocks are compared. A sorted set holds
the groups of the worker's users.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...errors import BackendError
from ..backend import Connected, Tell
from .keys import Keys
from .online import Online
from .server import Command, Server

_log = logging.getLogger("flask_sse_push")

# Seconds after which a worker that does not refresh its hash counts as dead, between
# two refreshes, and between two checks for changes.
_EXPIRY_SECONDS, _REFRESH_SECONDS, _TICK_SECONDS = 15.0, 5.0, 0.25
# The most members in one command.
_MOST_MEMBERS = 1_000
# The field with a worker's number of connections. No user has an empty id.
_TOTAL = b""


class Presence:
    """Writes the users of this worker, and reads those of all workers.

    :param worker: this worker's id.
    """

    def __init__(self, server: Server, keys: Keys, worker: str, online: Online) -> None:
        self._server = server
        self._keys = keys
        self._worker = worker
        self._online = online
        self._connected: Connected | None = None
        self._is_complete = False
        self._total = 0
        self._refreshed = 0.0
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def run(self, connected: Connected, tell: Tell) -> None:
        """Write changes, and refresh the keys, until :meth:`stop`.

        :param tell: called when a user comes online or goes offline.
        """
        self._connected = connected
        self._online.start(tell)
        while not self._stopped.wait(_TICK_SECONDS):
            try:
                with self._lock:
                    self.write()
            except BackendError:
                # LogReader logs that the server cannot be reached.
                self._stopped.wait(_TICK_SECONDS)
            except Exception:
                _log.exception(
                    "An unexpected error occurred while reporting connected users to "
                    "the other workers"
                )

    def write(self) -> None:
        """Write what has changed since the last call.

        :raises BackendError: the server did not confirm; the next call writes
            everything again.
        """
        connected = self._connected
        if connected is None or self._stopped.is_set():
            return
        changes = connected.take_changes()
        groups = connected.take_group_changes()
        total = connected.client_count()
        now = time.monotonic()
        self._online.note(changes)
        if (
            self._is_complete
            and not changes
            and not groups
            and total == self._total
            and now < self._refreshed + _REFRESH_SECONDS
            and not self._online.is_due
        ):
            return
        key, groups_key = self._my_keys
        expires_ms = int(_EXPIRY_SECONDS * 1000)
        commands: list[Command] = [("EXISTS", key)]
        is_complete, self._is_complete = self._is_complete, False
        if not is_complete:
            self._online.repeat()
            changes = connected.connections_by_user()
            groups = dict.fromkeys(connected.group_members(), True)
            commands.append(("DEL", key, groups_key))
        fields: list[str | bytes | int] = [_TOTAL, total]
        for user, count in changes.items():
            if count:
                fields.extend((user, count))
        commands.append(("HSET", key, *fields))
        gone = [user for user, count in changes.items() if not count]
        if gone:
            commands.append(("HDEL", key, *gone))
        commands += _group_commands(groups_key, groups)
        commands.append(("PEXPIRE", key, expires_ms))
        commands.append(("PEXPIRE", groups_key, expires_ms))
        expires = time.time() + _EXPIRY_SECONDS
        commands.append(("ZADD", self._keys.workers, expires, self._worker))
        answers = self._server.call(("MULTI",), *commands, ("EXEC",))
        # The hash has expired if this worker did not refresh it in time.
        self._is_complete = not is_complete or bool(answers[-1][0])
        self._total, self._refreshed = total, now
        self._online.update(_EXPIRY_SECONDS, _REFRESH_SECONDS)

    def forget(self) -> None:
        """Write everything again the next time, because the server may have lost it."""
        self._is_complete = False

    def stop(self) -> None:
        """Stop writing, and remove this worker from the server."""
        self._stopped.set()
        if self._connected is None:
            return
        # If the server cannot be reached, the keys expire.
        with self._lock, contextlib.suppress(BackendError):
            self._server.call(
                ("DEL", *self._my_keys), ("ZREM", self._keys.workers, self._worker)
            )
            self._online.stop(_EXPIRY_SECONDS)

    @property
    def _my_keys(self) -> tuple[str, str]:
        return self._keys.presence(self._worker), self._keys.groups(self._worker)

    def client_count(self) -> int:
        """The number of connections, over all workers.

        :raises BackendError: the server did not answer.
        """
        here = self._connected.client_count() if self._connected else 0
        return here + sum(
            int(total) for total in self._ask_others("HGET", _TOTAL) if total
        )

    def connected_users(self) -> set[str]:
        """The users connected to any worker.

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

    def group_users(self, group: str) -> set[str]:
        """The users with a connection to any worker that is in the group.

        :raises BackendError: the server did not answer.
        """
        start = _member(group, "").encode()
        # UTF-8 never contains the byte FF.
        found = self._ask_others(
            "ZRANGEBYLEX", b"[" + start, b"(" + start + b"\xff", key=self._keys.groups
        )
        users = {
            member.removeprefix(start).decode()
            for members in found
            for member in members
        }
        if self._connected is not None:
            users |= self._connected.group_users(group)
        return users

    def worker_count(self) -> int:
        """The number of workers that are alive.

        :raises BackendError: the server did not answer.
        """
        here = 0 if self._connected is None else 1
        return here + sum(int(exists) for exists in self._ask_others("EXISTS"))

    def _ask_others(
        self,
        command: str,
        *arguments: str | bytes,
        key: Callable[[str], str] | None = None,
    ) -> Sequence[Any]:
        """Run a command for every other worker, in two round trips for all of them.

        :param key: returns the key for the command by the worker's id; the default is
            the key of the worker's users.
        """
        key = key or self._keys.presence
        [workers] = self._server.call(("ZRANGE", self._keys.workers, 0, -1))
        commands = [
            (command, key(worker.decode()), *arguments)
            for worker in workers
            if worker.decode() != self._worker
        ]
        return self._server.call(*commands) if commands else ()


def _member(group: str, user: str) -> str:
    """A pair as a member of the sorted set; the length keeps groups apart."""
    return f"{len(group)}:{group}{user}"


def _group_commands(
    key: str, changes: Mapping[tuple[str, str], bool]
) -> Iterator[Command]:
    """The commands that add pairs of group and user, and remove those that are gone."""
    members = [_member(*pair) for pair, is_there in changes.items() if is_there]
    for start in range(0, len(members), _MOST_MEMBERS):
        scores_and_members: list[str | int] = []
        for member in members[start : start + _MOST_MEMBERS]:
            scores_and_members += (0, member)
        yield ("ZADD", key, *scores_and_members)
    gone = [_member(*pair) for pair, is_there in changes.items() if not is_there]
    for start in range(0, len(gone), _MOST_MEMBERS):
        yield ("ZREM", key, *gone[start : start + _MOST_MEMBERS])
