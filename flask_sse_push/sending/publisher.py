"""Sending from where there is no Flask application: Celery, cron, scripts."""

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

# Events that go to the backend in one step.
_BATCH = 500


class Publisher(Verbs):
    """The sending verbs, straight into the log.

    A verb returns when its event is in the log. While Redis does not answer it tries
    again, ``timeout`` seconds long, and then raises :exc:`BackendError`. ``priority``
    changes nothing here: nothing waits in a queue.

    Safe for threads. A process that was forked, such as a Celery worker's, makes its
    own connections. Made by :meth:`from_url`; as a context manager it closes them.

    :param config: what ``SSE_PUSH_*`` keys say.
    :param timeout: seconds.
    :raises ConfigError: the backend is no Redis or Valkey server.
    """

    def __init__(self, config: Config, *, timeout: float = 10.0) -> None:
        if config.is_memory:
            raise ConfigError(
                "A Publisher needs a Redis or Valkey server, such as "
                "redis://localhost:6379/0: the log of memory:// is in the memory of "
                "the web server's process, which no other process reaches."
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

        :param url: as ``SSE_PUSH_BACKEND_URL``.
        :param key_prefix: as ``SSE_PUSH_KEY_PREFIX``; the applications' own.
        :param timeout: seconds a verb tries to send before it gives up.
        :param options: other ``SSE_PUSH_*`` settings, in lower case without the prefix,
            such as ``mailbox_size=50``. They should be the applications' own, too.
        :raises ConfigError: a value is wrong, an option is none, or the URL is
            ``memory://``.
        """
        known = {field.name for field in fields(Config)}
        for name in options:
            if name not in known:
                raise ConfigError(
                    f"{name!r} is no setting: take one of {', '.join(sorted(known))}."
                )
        settings = {"backend_url": url, "key_prefix": key_prefix, **options}
        config = Config.from_mapping(
            {PREFIX + name.upper(): value for name, value in settings.items()}
        )
        return cls(config, timeout=timeout)

    def close(self) -> None:
        """Close the connections; the next verb opens new ones."""
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
        """Append events, all with one limit on the time it takes.

        :raises BackendError: the time is up.
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
                        "Send them again; an id of your own keeps them from arriving "
                        f"twice. {error}"
                    ) from error
                sleep(pause)
        return [Receipt(None, position) for position in positions]


def _announce_nothing(*arguments: object, **what: object) -> None:
    """Stand in for signals: there is no application to send them for."""
