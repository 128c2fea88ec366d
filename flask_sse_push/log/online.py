"""Which users come online and go offline, if there is only one process."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from ..runtime.concurrency import native_lock, sleep, spawn
from .backend import Tell

_log = logging.getLogger("flask_sse_push")


class OnlineUsers:
    """The users who are online: connected, or disconnected for less than the grace.

    :param is_connected: whether a user has a connection.
    :param grace: seconds for which a user may be without one.
    :param tell: called when a user comes online or goes offline, in order.
    """

    def __init__(
        self, is_connected: Callable[[str], bool], grace: float, tell: Tell
    ) -> None:
        self._is_connected = is_connected
        self._grace = grace
        self._tell = tell
        self._lock = native_lock()
        self._online: set[str] = set()
        # Users without a connection, and when they count as offline. The order is that
        # of these times, because the grace is the same for all.
        self._leaving: OrderedDict[str, float] = OrderedDict()
        self._is_waiting = False

    def changed(self, user_id: str) -> None:
        """Note that a user's connection has opened or closed."""
        with self._lock:
            if self._is_connected(user_id):
                self._leaving.pop(user_id, None)
                if user_id not in self._online:
                    self._online.add(user_id)
                    self._tell(user_id, True)
                return
            if user_id not in self._online or user_id in self._leaving:
                return
            self._leaving[user_id] = time.monotonic() + self._grace
            if self._is_waiting:
                return
            self._is_waiting = True
        try:
            spawn(self._wait)
        except RuntimeError:
            # The next user who leaves tries again.
            self._is_waiting = False
            _log.exception(
                "user_offline is not sent yet: the system cannot start a thread"
            )

    def _wait(self) -> None:
        while True:
            with self._lock:
                now = time.monotonic()
                while self._leaving:
                    user_id, due = next(iter(self._leaving.items()))
                    if due > now:
                        break
                    del self._leaving[user_id]
                    if not self._is_connected(user_id):
                        self._online.remove(user_id)
                        self._tell(user_id, False)
                if not self._leaving:
                    self._is_waiting = False
                    return
            sleep(due - now)
