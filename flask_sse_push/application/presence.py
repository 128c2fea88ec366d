"""Reports to the application which users come online and go offline."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable

from ..runtime.concurrency import native_lock
from ..runtime.task import BackgroundTask

_log = logging.getLogger("flask_sse_push")


class PresenceTeller:
    """Calls a function for each user who comes online or goes offline, in order.

    It does so in a separate greenlet or thread, because the function may take long, and
    the backend must not stop reporting to other workers that this one is alive.

    :param tell: takes the user id, and whether the user has come online.
    :param is_wanted: returns whether anybody listens; if not, nothing is queued.
    """

    def __init__(
        self, tell: Callable[[str, bool], None], is_wanted: Callable[[], bool]
    ) -> None:
        self._tell = tell
        self._is_wanted = is_wanted
        self._lock = native_lock()
        self._waiting: deque[tuple[str, bool]] = deque()
        self._task = BackgroundTask(self._run, self._lock)

    def put(self, user_id: str, is_online: bool) -> None:
        """Queue a call; returns at once."""
        if not self._is_wanted():
            return
        with self._lock:
            self._waiting.append((user_id, is_online))
        # If the system cannot start a thread, the next call tries again.
        with contextlib.suppress(RuntimeError):
            self._task.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._task.end()
                    return
                user_id, is_online = self._waiting.popleft()
            try:
                self._tell(user_id, is_online)
            except Exception:
                _log.exception(
                    "A receiver of the signal %s raised an error",
                    "user_online" if is_online else "user_offline",
                )
