"""Rate limits, in the notation of the ``limits`` library."""

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

# After the backend has failed to answer, events pass uncounted for this many seconds
# before it is asked again, so that an outage does not delay every event.
_AWAY_SECONDS = 5.0


def set_limit(by_event: dict[str, str], event: str, limit: str | None) -> None:
    """Set the limit of the events of one name.

    :param limit: such as ``"5/minute"``; ``None`` removes it.
    :raises ConfigError: the limit cannot be parsed, or the extra is not installed.
    """
    if limit is None:
        by_event.pop(plain(event), None)
    else:
        _parse(limit, f"The limit of {plain(event)!r}")
        by_event[plain(event)] = limit


class RateLimiter:
    """Counts events by receiver (the channel) and event name, in a moving window.

    Exactly one limit applies to an event: the one passed to the verb, else that of the
    event's name, else ``SSE_PUSH_RATE_LIMIT``. The backend keeps the counts: the memory
    backend for this process, Redis for all workers together. While Redis does not
    answer, events pass uncounted, so that no event is refused because of an outage.

    A limit may have several parts, as in ``"10/second; 100/hour"``; all must allow the
    event. An event that one part refuses stays counted by the parts before it.

    :param by_event: limits by event name; see :func:`set_limit`.
    :param get_windows: returns the rate windows of this process's backend.
    :raises ConfigError: ``SSE_PUSH_RATE_LIMIT`` cannot be parsed, or the extra is not
        installed.
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

        :param limit: the limit that was passed to the verb.
        :raises RateLimitExceeded: the limit is used up.
        :raises ConfigError: ``limit`` cannot be parsed, or the extra is not installed.
        """
        if limit is None:
            limit = self._by_event.get(event, self._default)
            if limit is None:
                return
        items = _parse(limit, "rate_limit")
        if self._away_until is not None and time.monotonic() < self._away_until:
            return
        # One identifier, because the limits library joins several with an unescaped
        # slash. An event name contains no NUL, so the two parts cannot be confused.
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
                _log.warning(
                    "The event log (SSE_PUSH_BACKEND_URL) does not answer; events pass "
                    "without being counted against rate limits: %s",
                    error,
                )
            self._away_until = time.monotonic() + _AWAY_SECONDS
        else:
            if self._away_until is not None:
                _log.warning(
                    "The event log (SSE_PUSH_BACKEND_URL) answers again; rate limits "
                    "are applied again"
                )
                self._away_until = None


@lru_cache(maxsize=256)
def _parse(limit: str, what: str) -> tuple[RateLimitItem, ...]:
    """Parse a limit.

    :param what: what the limit is called in an error message.
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
