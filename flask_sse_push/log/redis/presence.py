"""Who is connected to any worker.

Each worker keeps a hash of its users and their connections, under a key that expires
unless it is refreshed: a worker that was killed disappears by itself. Only such a
hash's existence says that its worker lives, so no clocks are compared. Beside it stands
a sorted set with the groups that its users are in.
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

# Seconds after which a worker that is silent is taken for dead; between two signs of
# life; and between two looks for changes.
_EXPIRY_SECONDS, _REFRESH_SECONDS, _TICK_SECONDS = 15.0, 5.0, 0.25
# Members that one command takes.
_MOST_MEMBERS = 1_000
# The field of a worker's total. No user has an empty id.
_TOTAL = b""


class Presence:
    """The workers' users: this one's written, all of them read."""

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
        """Write changes, and refresh, until :meth:`stop`.

        :param tell: told who comes and goes, over all workers.
        """
        self._connected = connected
        self._online.start(tell)
        while not self._stopped.wait(_TICK_SECONDS):
            try:
                with self._lock:
                    self.write()
            except BackendError:
                # The reader of the log tells of it.
                self._stopped.wait(_TICK_SECONDS)
            except Exception:
                _log.exception("Telling the other workers who is connected failed")

    def write(self) -> None:
        """Write what has changed since the last time.

        :raises BackendError: the server did not confirm; everything is written anew
            the next time.
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
        # Its hash is gone where the worker was silent for too long.
        self._is_complete = not is_complete or bool(answers[-1][0])
        self._total, self._refreshed = total, now
        self._online.update(_EXPIRY_SECONDS, _REFRESH_SECONDS)

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
                ("DEL", *self._my_keys), ("ZREM", self._keys.workers, self._worker)
            )
            self._online.stop(_EXPIRY_SECONDS)

    @property
    def _my_keys(self) -> tuple[str, str]:
        return self._keys.presence(self._worker), self._keys.groups(self._worker)

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

    def group_users(self, group: str) -> set[str]:
        """Users with a connection in a group, to any worker.

        :raises BackendError: the server did not answer.
        """
        start = _member(group, "").encode()
        # No text has the byte FF in its UTF-8 form.
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
        """Workers that live.

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
        """Ask for something of every other worker: two round trips, however many.

        :param key: gives the key to ask about by the worker's id.
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
    """A pair as a member of the sorted set: none starts as another group's do."""
    return f"{len(group)}:{group}{user}"


def _group_commands(
    key: str, changes: Mapping[tuple[str, str], bool]
) -> Iterator[Command]:
    """What writes which pairs of group and user there are, and are no more."""
    members = [_member(*pair) for pair, is_there in changes.items() if is_there]
    for start in range(0, len(members), _MOST_MEMBERS):
        scores_and_members: list[str | int] = []
        for member in members[start : start + _MOST_MEMBERS]:
            scores_and_members += (0, member)
        yield ("ZADD", key, *scores_and_members)
    gone = [_member(*pair) for pair, is_there in changes.items() if not is_there]
    for start in range(0, len(gone), _MOST_MEMBERS):
        yield ("ZREM", key, *gone[start : start + _MOST_MEMBERS])
