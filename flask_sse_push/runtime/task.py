"""Work in the background that runs only while there is some."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .concurrency import spawn


class BackgroundTask:
    """Runs a function in a greenlet or thread of its own, at most once at a time.

    The function calls :meth:`end` under the lock when it finds nothing left to do, and
    returns. Code that adds work under the lock and then calls :meth:`start` can be sure
    that it is done.

    :param function: takes no arguments.
    :param lock: guards the function's work; :meth:`start` takes it.
    """

    __slots__ = ("_function", "_lock", "is_running")

    def __init__(self, function: Callable[[], None], lock: threading.Lock) -> None:
        self._function = function
        self._lock = lock
        self.is_running = False

    def start(self) -> None:
        """Start the function, unless it runs already.

        :raises RuntimeError: the system cannot start another thread.
        """
        with self._lock:
            if self.is_running:
                return
            self.is_running = True
        try:
            spawn(self._function)
        except BaseException:
            self.is_running = False
            raise

    def end(self) -> None:
        """Note that the function returns. It calls this under the lock."""
        self.is_running = False
