"""How many events may be sent: limits in the notation of the ``limits`` library."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from ..config import PREFIX, Config
from ..errors import BackendError, ConfigError, RateLimitExceeded
from ..events import plain
from ..log import RateWindows

if TYPE_CHECKING:
    from limits import RateLimitItem

_log = logging.getLogger("flask_sse_push")

# Seconds for which events pass uncounted, once the backend has failed to answer, before
# it is asked again: a limit must not hold up what it limits.
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
    name, else ``SSE_PUSH_RATE_LIMIT``. The backend keeps the counts: with the memory
    backend for this process, with Redis for all workers together. While Redis does not
    answer, events pass uncounted: a limit must not lose an event because of an outage.

    A limit may be several, as in ``"10/second; 100/hour"``: all must hold. What a later
    one refuses has been counted by the earlier.

    :param by_event: limits by event name; see :func:`set_limit`.
    :param get_windows: gives the windows of the backend of this process.
    :raises ConfigError: ``SSE_PUSH_RATE_LIMIT`` is no limit, or the extra is missing.
    """

    def __init__(
        self,
        config: Config,
        by_event: Mapping[str, str],
        get_windows: Callable[[], RateWindows],
    ) -> None:
        self._default = config.rate_limit
        self._by_event = by_event
        self._get_windows = get_windows
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
        windows = self._get_windows()
        try:
            for item in items:
                window = (item.key_for(key), item.amount, item.get_expiry())
                if not windows.acquire_entry(*window):
                    oldest, _ = windows.get_moving_window(*window)
                    wait = oldest + item.get_expiry() - time.time()
                    raise RateLimitExceeded(limit, max(wait, 0.0))
        except BackendError as error:
            if self._away_until is None:
                _log.warning("Events pass uncounted, rate limits are away: %s", error)
            self._away_until = time.monotonic() + _AWAY_SECONDS
        else:
            if self._away_until is not None:
                _log.warning("Rate limits are back")
                self._away_until = None


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
