"""Which users came and went, told to exactly one worker.

A sorted set holds the users who are online. The score is infinite while a user is
connected to any worker; else it is the time, by the server's clock, at which the user
counts as gone. Whichever worker asks first after that time is told, and the user is
taken out in the same step. Likewise for one who comes and was not in the set.

What a worker is told stays in a list of its own until it has confirmed it, so that a
lost answer loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice

from ..backend import Tell
from .keys import Keys
from .scripts import load_script
from .server import Server

# Users in one call of the script.
_MOST_USERS = 500
# Milliseconds for which one worker alone looks after those that have died.
_REAPING_MS = 10_000
# Milliseconds after which the set is dropped where no worker lives any more.
_KEPT_MS = 86_400_000

_UPDATE = load_script("update_online")
_REAP = load_script("reap_workers")


class Online:
    """This worker's part in telling who came and who went. Not safe for threads.

    :param worker: the worker's id.
    :param grace: seconds for which a user may be without a connection.
    """

    def __init__(self, server: Server, keys: Keys, worker: str, grace: float) -> None:
        self._server = server
        self._keys = keys
        self._worker = worker
        self._grace_ms = int(grace * 1000)
        self._tell: Tell | None = None
        # Users of this worker, and those who have come or left since the last answer.
        self._users: set[str] = set()
        self._came: set[str] = set()
        self._left: set[str] = set()
        # How much of what it was told this worker has dealt with, and whether the
        # server knows.
        self._told = 0
        self._is_confirmed = True
        # When this worker last looked who is gone, and when somebody may be, on the
        # monotonic clock.
        self._looked = self._next_look = 0.0

    def start(self, tell: Tell) -> None:
        """Say who is to be told; before that nothing is done."""
        self._tell = tell

    @property
    def is_due(self) -> bool:
        """Whether there is something to ask even though nothing has changed here."""
        return not self._is_confirmed or time.monotonic() >= self._next_look

    def note(self, changes: Mapping[str, int]) -> None:
        """Note how many connections users have here now."""
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
        """Say everything anew the next time: the server may have lost it."""
        self._came |= self._users

    def update(self, lease: float, period: float) -> None:
        """Say what has changed, and tell of those who came or went.

        :param lease: seconds after which a worker that is silent is taken for dead.
        :param period: seconds between two looks for such workers.
        :raises BackendError: the server did not answer; all of it is said again.
        """
        while True:
            came = list(islice(self._came, _MOST_USERS))
            is_all = len(came) == len(self._came)
            # Whoever came and left meanwhile must come first.
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
        """Leave this worker's users to the others.

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
        """See to the users of workers that ended without a word."""
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
