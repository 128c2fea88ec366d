"""Which users come online and go offline, if there is only one process."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from ..runtime.concurrency import native_lock, sleep
from ..runtime.task import BackgroundTask
from .backend import Tell

_log = logging.getLogger("flask_sse_push")


class OnlineUsers:
    """Reports which users come online and go offline.

    A user is online while connected, and for ``grace`` seconds after that. No list of
    the users who are online is kept, because it would cost memory for each connection.

    :param take_arrivals: the users who got their first or lost their last connection
        since the last call, in order.
    :param grace: seconds without a connection after which a user counts as offline.
    :param tell: called when a user comes online or goes offline, in order.
    """

    def __init__(
        self,
        take_arrivals: Callable[[], list[tuple[str, bool]]],
        grace: float,
        tell: Tell,
    ) -> None:
        self._take_arrivals = take_arrivals
        self._grace = grace
        self._tell = tell
        self._lock = native_lock()
        # Users without a connection, and the times at which they count as offline. They
        # are in the order of these times, because the grace is the same for all.
        self._leaving: OrderedDict[str, float] = OrderedDict()
        self._task = BackgroundTask(self._wait, self._lock)
        take_arrivals()

    def changed(self) -> None:
        """Note that a user's connection has opened or closed."""
        with self._lock:
            self._update()
            if not self._leaving:
                return
        try:
            self._task.start()
        except RuntimeError:
            # The next call of changed() tries again.
            _log.exception(
                "The signal user_offline is delayed: the system cannot start a thread. "
                "Raise the process's limit on threads."
            )

    def _update(self) -> None:
        for user_id, is_here in self._take_arrivals():
            if not is_here:
                self._leaving[user_id] = time.monotonic() + self._grace
            elif self._leaving.pop(user_id, None) is None:
                self._tell(user_id, True)

    def _wait(self) -> None:
        while True:
            with self._lock:
                self._update()
                now = time.monotonic()
                while self._leaving:
                    user_id, due = next(iter(self._leaving.items()))
                    if due > now:
                        break
                    del self._leaving[user_id]
                    self._tell(user_id, False)
                if not self._leaving:
                    self._task.end()
                    return
            sleep(due - now)
