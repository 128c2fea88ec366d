"""Tells the application which users come online and go offline."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from ..runtime.concurrency import native_lock, spawn

_log = logging.getLogger("flask_sse_push")


class PresenceTeller:
    """Calls a function for each user who comes or goes, in order, one at a time.

    It does so in a greenlet or thread of its own: the function may take long, and the
    backend must go on telling other workers that this one is alive.

    :param tell: takes the user id, and whether the user has come online.
    :param is_wanted: whether anybody listens.
    """

    def __init__(
        self, tell: Callable[[str, bool], None], is_wanted: Callable[[], bool]
    ) -> None:
        self._tell = tell
        self._is_wanted = is_wanted
        self._lock = native_lock()
        self._waiting: deque[tuple[str, bool]] = deque()
        self._is_running = False

    def put(self, user_id: str, is_online: bool) -> None:
        """Queue a call; returns at once."""
        if not self._is_wanted():
            return
        with self._lock:
            self._waiting.append((user_id, is_online))
            if self._is_running:
                return
            self._is_running = True
        try:
            spawn(self._run)
        except RuntimeError:
            # The system cannot start a thread; the next call tries again.
            self._is_running = False

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_running = False
                    return
                user_id, is_online = self._waiting.popleft()
            try:
                self._tell(user_id, is_online)
            except Exception:
                _log.exception("Sending user_online or user_offline failed")
