"""Reports which users come online and go offline, each time to exactly one worker.

A sorted set holds the users who are online. The score is infinite while a user is
connected to any worker, otherwise the time, by the server's clock, at which the user
counts as offline. The first worker that asks after that time removes the user from the
set and gets the report, in one step. A user who comes online is reported in the same
way, when the user is added to the set.

The reports to a worker stay in a list until the worker confirms them, so that a lost
answer loses no report.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice

from ..backend import Tell
from .keys import Keys
from .scripts import load_script
from .server import Server

# The most users in one call of the script.
_MOST_USERS = 500
# Milliseconds during which no other worker handles the workers that have died.
_REAPING_MS = 10_000
# Milliseconds after which the set expires if no worker is left.
_KEPT_MS = 86_400_000

_UPDATE = load_script("update_online")
_REAP = load_script("reap_workers")


class Online:
    """Reports this worker's users, and gets reports about all users. Not thread-safe.

    :param worker: the worker's id.
    :param grace: seconds without a connection after which a user counts as offline.
    """

    def __init__(self, server: Server, keys: Keys, worker: str, grace: float) -> None:
        self._server = server
        self._keys = keys
        self._worker = worker
        self._grace_ms = int(grace * 1000)
        self._tell: Tell | None = None
        # The users of this worker, and those who came or left and are not reported yet.
        self._users: set[str] = set()
        self._came: set[str] = set()
        self._left: set[str] = set()
        # The number of reports that this worker has passed on, and whether the server
        # knows this number.
        self._told = 0
        self._is_confirmed = True
        # The times of the last and the next check for users who count as offline, on
        # the monotonic clock.
        self._looked = self._next_look = 0.0

    def start(self, tell: Tell) -> None:
        """Set the function that is called with each report."""
        self._tell = tell

    @property
    def is_due(self) -> bool:
        """Whether :meth:`update` is needed although nothing has changed here."""
        return (
            bool(self._came or self._left)
            or not self._is_confirmed
            or time.monotonic() >= self._next_look
        )

    def note(self, changes: Mapping[str, int]) -> None:
        """Note how many connections users have to this worker now."""
        for user, count in changes.items():
            if count:
                self._left.discard(user)
                if user not in self._users:
                    self._users.add(user)
                    self._came.add(user)
            elif user in self._users:
                self._users.remove(user)
                self._left.add(user)

    def repeat(self) -> None:
        """Report all users again at the next update: the server may have lost them."""
        self._came |= self._users

    def update(self, lease: float, period: float) -> None:
        """Report the changes, and pass on the reports to this worker.

        :param lease: seconds of silence after which a worker counts as dead.
        :param period: seconds between two checks for dead workers.
        :raises BackendError: the server did not answer; the next call tries again.
        """
        while True:
            came = list(islice(self._came, _MOST_USERS))
            is_all = len(came) == len(self._came)
            # A user who came and left in between must be reported as coming first.
            left = list(islice(self._left, _MOST_USERS)) if is_all else []
            now = time.monotonic()
            looks = now >= min(self._next_look, self._looked + period)
            dead = self._update(came, left, lease, looks=looks)
            if looks:
                self._looked = now
            self._came.difference_update(came)
            self._left.difference_update(left)
            if dead:
                self._reap(dead)
            if not self._came and not self._left:
                return

    def stop(self, lease: float) -> None:
        """Report that all users have left this worker.

        :raises BackendError: the server did not answer.
        """
        users = list(self._users | self._left)
        for start in range(0, len(users), _MOST_USERS):
            left = users[start : start + _MOST_USERS]
            self._update([], left, lease, looks=False)
        self._server.call(("DEL", self._keys.told(self._worker)))

    def _update(
        self, came: list[str], left: list[str], lease: float, *, looks: bool
    ) -> list[bytes]:
        keys = self._keys
        before, told, wait, dead = self._server.run(
            _UPDATE,
            [
                keys.online,
                keys.told(self._worker),
                keys.workers,
                keys.presence(self._worker),
            ],
            [
                keys.presence(""),
                self._grace_ms,
                int(lease * 1000),
                _KEPT_MS,
                self._told,
                int(looks),
                len(came),
                *came,
                *left,
            ],
        )
        self._is_confirmed = not told
        wait_seconds = wait / 1000 if wait >= 0 else float("inf")
        self._next_look = time.monotonic() + wait_seconds
        for item in told[max(self._told - before, 0) :]:
            text = item.decode()
            if self._tell is not None:
                self._tell(text[1:], text[0] == "+")
        self._told = before + len(told)
        return list(dead)

    def _reap(self, dead: list[bytes]) -> None:
        """Handle the users of workers that died."""
        lock = (self._keys.reaping, self._worker, "NX", "PX", _REAPING_MS)
        [is_first] = self._server.call(("SET", *lock))
        if not is_first:
            return
        cursor: bytes | str = "0"
        while True:
            cursor = self._server.run(
                _REAP,
                [self._keys.online, self._keys.workers],
                [self._keys.presence(""), self._grace_ms, cursor, *dead],
            )
            if cursor in (b"0", "0"):
                break
        self._next_look = 0.0
