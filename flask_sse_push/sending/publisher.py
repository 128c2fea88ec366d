"""Sending without a Flask application: from Celery, cron and scripts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Self

from ..config import PREFIX, Config
from ..errors import BackendError, ConfigError
from ..events import Position
from ..log import Backend, make_backend
from ..runtime.backoff import Backoff
from ..runtime.concurrency import sleep
from .data import Serializer
from .outbox import with_nonce
from .patterns import Rules, Verbs
from .ratelimit import RateLimiter
from .receipt import Receipt
from .sender import Outgoing, Sender

# The most events in one append.
_BATCH = 500


class Publisher(Verbs):
    """The verbs without a Flask application; they write directly to the event log.

    A verb returns when its event is in the event log. While Redis does not answer, it
    tries again for ``timeout`` seconds and then raises :exc:`BackendError`.
    ``priority`` has no effect, because no event waits in an outbox.

    Create one with :meth:`from_url`. It is thread-safe, and a forked process, such as a
    Celery worker, opens its own connections to Redis. ``close()``, or the end of a
    ``with`` block, closes them.

    :param config: the ``SSE_PUSH_*`` settings.
    :param timeout: how long a verb tries to send, in seconds.
    :raises ConfigError: the backend is not a Redis or Valkey server.
    """

    def __init__(self, config: Config, *, timeout: float = 10.0) -> None:
        if config.is_memory:
            raise ConfigError(
                "A Publisher needs a Redis or Valkey server, such as "
                "redis://localhost:6379/0: the event log of memory:// is in the memory "
                "of the web server's process, which no other process reaches."
            )
        self._config = config
        self._timeout = timeout
        self._rules = Rules()
        self._backend = backend = make_backend(config)
        self._sender = Sender(
            config=config,
            schemas=self._rules.schemas,
            # Flask's default rules: there is no application.
            serializer=Serializer(lambda: None),
            limiter=RateLimiter(config, self._rules.limits, backend.rate_windows),
            append=self._append,
            announce=_announce_nothing,
        )

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        key_prefix: str = "sse_push",
        timeout: float = 10.0,
        **options: Any,
    ) -> Self:
        """A publisher for the server at a URL.

        :param url: the application's ``SSE_PUSH_BACKEND_URL``.
        :param key_prefix: the application's ``SSE_PUSH_KEY_PREFIX``.
        :param timeout: seconds a verb tries to send before it gives up.
        :param options: other ``SSE_PUSH_*`` settings, in lower case without the prefix,
            such as ``mailbox_size=50``. Use the values of the application.
        :raises ConfigError: a value is wrong, an option is unknown, or the URL is
            ``memory://``.
        """
        known = {field.name for field in fields(Config)}
        for name in options:
            if name not in known:
                raise ConfigError(
                    f"{name!r} is not a setting: use one of {', '.join(sorted(known))}."
                )
        settings = {"backend_url": url, "key_prefix": key_prefix, **options}
        config = Config.from_mapping(
            {PREFIX + name.upper(): value for name, value in settings.items()}
        )
        return cls(config, timeout=timeout)

    def close(self) -> None:
        """Close the connections to the backend; the next verb opens new ones."""
        self._backend.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _get_sender(self) -> Sender:
        return self._sender

    def _get_backend(self) -> Backend:
        return self._backend

    def _get_rules(self) -> Rules:
        return self._rules

    def _append(self, outgoing: Sequence[Outgoing]) -> list[Receipt]:
        """Append events within the timeout, which is for all of them together.

        :raises BackendError: the timeout has passed.
        """
        events = [with_nonce(one.event) for one in outgoing]
        positions: list[Position] = []
        end = time.monotonic() + self._timeout
        backoff = Backoff()
        while len(positions) < len(events):
            batch = events[len(positions) : len(positions) + _BATCH]
            try:
                positions += self._backend.append(batch)
            except BackendError as error:
                pause = backoff.take()
                if time.monotonic() + pause > end:
                    missing = f"{len(events) - len(positions)} of {len(events)} events"
                    raise BackendError(
                        f"{missing} could not be confirmed within {self._timeout:g} s. "
                        "Send them again; pass an id of your own so that they do not "
                        f"arrive twice. {error}"
                    ) from error
                sleep(pause)
        return [Receipt(None, position) for position in positions]


def _announce_nothing(*arguments: object, **what: object) -> None:
    """Send no signals, because there is no application to send them for."""
