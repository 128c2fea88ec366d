"""Who came and who went, for a log that one process has for itself."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from ..runtime.concurrency import native_lock, sleep, spawn
from .backend import Tell

_log = logging.getLogger("flask_sse_push")


class OnlineUsers:
    """The users who are online: connected, or not for longer than the grace.

    :param is_connected: whether a user has a connection.
    :param grace: seconds for which a user may be without one.
    :param tell: told who comes online and who goes offline, in order.
    """

    def __init__(
        self, is_connected: Callable[[str], bool], grace: float, tell: Tell
    ) -> None:
        self._is_connected = is_connected
        self._grace = grace
        self._tell = tell
        self._lock = native_lock()
        self._online: set[str] = set()
        # Those without a connection, by the time at which they count as gone: in order,
        # as the grace is the same for all.
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
            # No thread is left. The next user to leave tries again.
            self._is_waiting = False
            _log.exception("A user who leaves cannot be told of yet")

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
