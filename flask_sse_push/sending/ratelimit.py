"""How many events may be sent: limits in the notation of the ``limits`` library."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from ..config import PREFIX, Config
from ..errors import BackendError, ConfigError, RateLimitExceeded
from ..events import plain
from ..runtime.concurrency import native_lock

if TYPE_CHECKING:
    from limits import RateLimitItem

_log = logging.getLogger("flask_sse_push")

# How long events pass uncounted, once Redis has failed to answer, before it is asked
# again: a limit must not hold up what it limits.
_AWAY_SECONDS = 5.0


def set_limit(by_event: dict[str, str], event: str, limit: str | None) -> None:
    """Give the events of one name a limit of their own.

    :param limit: such as ``"5/minute"``; ``None`` takes it away again.
    :raises ConfigError: it is no limit, or the extra is missing.
    """
    if limit is None:
        by_event.pop(plain(event), None)
    else:
        _parse(limit, f"The limit of {plain(event)!r}")
        by_event[plain(event)] = limit


class RateLimiter:
    """Counts events by receiver (the channel) and event name, in a moving window.

    Exactly one limit applies to an event: the call's own, else that of the event's
    name, else ``SSE_PUSH_RATE_LIMIT``. With the memory backend the counts are this
    process's; with Redis they are kept there, for all workers together. While Redis
    does not answer, events pass uncounted: a limit never loses an event on its own
    account.

    A limit may be several, as in ``"10/second; 100/hour"``: all must hold. What a later
    one refuses has been counted by the earlier.

    :param by_event: limits by event name; see :func:`set_limit`.
    :raises ConfigError: ``SSE_PUSH_RATE_LIMIT`` is no limit, or the extra is missing.
    """

    def __init__(self, config: Config, by_event: Mapping[str, str]) -> None:
        self._config = config
        self._default = config.rate_limit
        self._by_event = by_event
        self._windows: _Windows | None = None
        self._windows_pid = 0
        self._lock = native_lock()
        self._away_until: float | None = None
        if config.rate_limit is not None:
            _parse(config.rate_limit, PREFIX + "RATE_LIMIT")

    def admit(self, channel: str, event: str, limit: str | None = None) -> None:
        """Count an event that is about to be sent.

        :param limit: the call's own limit.
        :raises RateLimitExceeded: the limit is used up.
        :raises ConfigError: ``limit`` is no limit, or the extra is missing.
        """
        if limit is None:
            limit = self._by_event.get(event, self._default)
            if limit is None:
                return
        items = _parse(limit, "rate_limit")
        if self._away_until is not None and time.monotonic() < self._away_until:
            return
        # One identifier, in which no part can pass for another: a name holds no NUL,
        # and limits joins identifiers by a slash unescaped.
        key = f"{event}\0{channel}"
        windows = self._ready_windows()
        try:
            for item in items:
                window = (item.key_for(key), item.amount, item.get_expiry())
                if not windows.acquire_entry(*window):
                    oldest, _ = windows.get_moving_window(*window)
                    wait = oldest + item.get_expiry() - time.time()
                    raise RateLimitExceeded(limit, max(wait, 0.0))
        except windows.base_exceptions as error:
            if self._away_until is None:
                _log.warning("Events pass uncounted, rate limits are away: %s", error)
            self._away_until = time.monotonic() + _AWAY_SECONDS
        else:
            if self._away_until is not None:
                _log.warning("Rate limits are back")
                self._away_until = None

    def _ready_windows(self) -> _Windows:
        # Made when first needed, in the process that needs them: those in memory start
        # a thread, which no child of a fork would have.
        if self._windows_pid != os.getpid():
            # Not under the lock: a thread that starts may let other greenlets run.
            windows = _make_windows(self._config)
            with self._lock:
                if self._windows_pid != os.getpid():
                    self._windows = windows
                    self._windows_pid = os.getpid()
        assert self._windows is not None
        return self._windows


@lru_cache(maxsize=256)
def _parse(limit: str, what: str) -> tuple[RateLimitItem, ...]:
    """Read a limit.

    :param what: what it is, for the error.
    """
    try:
        from limits import parse_many  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError as error:
        if error.name != "limits":
            raise
        raise ConfigError(
            f"{what} needs the limits extra: pip install 'flask_sse_push[limits]'"
        ) from error
    try:
        return tuple(parse_many(limit))
    except ValueError as error:
        raise ConfigError(
            f'{what} must be text such as "5/minute", not {limit!r}.'
        ) from error


class _Windows(Protocol):
    """Where moving windows are kept: what is used of a storage of limits."""

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]: ...

    def acquire_entry(self, key: str, limit: int, expiry: int) -> bool: ...

    def get_moving_window(
        self, key: str, limit: int, expiry: int
    ) -> tuple[float, int]: ...


def _make_windows(config: Config) -> _Windows:
    if config.backend_url.startswith("memory:"):
        from limits.storage import MemoryStorage  # noqa: PLC0415 (an extra)

        return MemoryStorage()
    return _RedisWindows(config)


class _RedisWindows:
    """Windows in Redis, with the scripts of limits over the backend's connections.

    So they follow Sentinel and clusters, and one URL says all. The keys are the
    extension's.
    """

    base_exceptions: type[Exception] = BackendError

    def __init__(self, config: Config) -> None:
        from limits.storage import RedisStorage  # noqa: PLC0415 (an extra)

        from ..log.redis.keys import Keys  # noqa: PLC0415 (needs an extra)
        from ..log.redis.server import Script, Server  # noqa: PLC0415

        self._server = Server(config.backend_url)
        self._keys = Keys(config.key_prefix)
        self._acquire = Script(RedisStorage.SCRIPT_ACQUIRE_MOVING_WINDOW.decode())
        self._window = Script(RedisStorage.SCRIPT_MOVING_WINDOW.decode())

    def acquire_entry(self, key: str, limit: int, expiry: int) -> bool:
        arguments = (time.time(), limit, expiry, 1)
        return bool(self._server.run(self._acquire, [self._keys.limit(key)], arguments))

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        now = time.time()
        window = self._server.run(
            self._window, [self._keys.limit(key)], (now - expiry, limit)
        )
        return (float(window[0]), int(window[1])) if window else (now, 0)
