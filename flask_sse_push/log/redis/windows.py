"""Windows for rate limits in Redis, with the Lua scripts of the ``limits`` package."""

from __future__ import annotations

import time

from .keys import Keys
from .scripts import Script
from .server import Server


class RedisWindows:
    """Moving windows that all workers share, over the backend's connections.

    :raises ModuleNotFoundError: the package ``limits`` is not installed.
    """

    def __init__(self, server: Server, keys: Keys) -> None:
        from limits.storage import RedisStorage  # noqa: PLC0415 (an extra)

        self._server = server
        self._keys = keys
        self._acquire = Script(RedisStorage.SCRIPT_ACQUIRE_MOVING_WINDOW.decode())
        self._window = Script(RedisStorage.SCRIPT_MOVING_WINDOW.decode())

    def acquire_entry(self, key: str, limit: int, expiry: int) -> bool:
        """Count an event, unless the window is full.

        :param limit: the most events in the window.
        :param expiry: the length of the window, in seconds.
        :returns: whether the event was counted.
        :raises BackendError: the server did not answer.
        """
        arguments = (time.time(), limit, expiry, 1)
        return bool(self._server.run(self._acquire, [self._keys.limit(key)], arguments))

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """The time of the oldest event in the window, and the number of its events.

        :returns: the time is in seconds since 1970.
        :raises BackendError: the server did not answer.
        """
        now = time.time()
        window = self._server.run(
            self._window, [self._keys.limit(key)], (now - expiry, limit)
        )
        return (float(window[0]), int(window[1])) if window else (now, 0)
