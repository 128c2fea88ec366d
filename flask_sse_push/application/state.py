"""What the extension keeps for one application, in ``app.extensions["sse_push"]``."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack

from blinker import NamedSignal
from flask import Flask, current_app, has_request_context, request

from ..config import Config
from ..delivery.hub import Ended
from ..errors import ConfigError, SSEPushError
from ..events import Event
from ..log import make_backend
from ..runtime.concurrency import native_lock
from ..schemas import SchemaRegistry
from ..sending.outbox import Receipt
from ..sending.prepare import Prepared, SendOptions, prepare
from ..sending.ratelimit import RateLimiter
from ..signals import (
    client_connected,
    client_disconnected,
    event_failed,
    event_published,
)
from .engine import Worker

_log = logging.getLogger("flask_sse_push")

EXTENSION = "sse_push"


@dataclass(slots=True)
class Setup:
    """What code has set up, for all applications of one ``SSEPush``.

    :param limits: rate limits by event name.
    """

    user_loader: Callable[[], object] | None = None
    groups_loader: Callable[[str], Iterable[str]] | None = None
    authorizer: Callable[[str | None], bool] | None = None
    schemas: SchemaRegistry = field(default_factory=SchemaRegistry)
    limits: dict[str, str] = field(default_factory=dict)


class State:
    """One application's configuration, schemas, and worker in this process.

    :param app: held weakly: it is the sender of signals.
    """

    def __init__(
        self,
        app: Flask,
        config: Config,
        setup: Setup,
    ) -> None:
        # Made to be checked: each process makes its own when it needs one.
        make_backend(config)
        self.config = config
        self.setup = setup
        self.limiter = RateLimiter(config, setup.limits)
        self._app = weakref.ref(app)
        self._worker: Worker | None = None
        self._worker_pid = 0
        self._lock = native_lock()

    @property
    def app(self) -> Flask | None:
        """The application, while it exists."""
        return self._app()

    @property
    def worker(self) -> Worker:
        """This process's worker: after a fork, a new one.

        :raises ConfigError: the memory backend under a server of several processes.
        """
        if self.config.is_memory:
            _refuse_other_processes()
        if self._worker_pid != os.getpid():
            with self._lock:
                if self._worker_pid != os.getpid():
                    self._worker = Worker(
                        self.config, self._opened, self._ended, self._failed
                    )
                    self._worker_pid = os.getpid()
        assert self._worker is not None
        return self._worker

    def dispatch(
        self, channel: str, name: str, data: object, **options: Unpack[SendOptions]
    ) -> Receipt:
        """Check an event and put it into the log: what every verb and signal ends in.

        :param options: those of :meth:`prepare`.
        :raises PayloadError: the data does not fit; nothing was sent.
        :raises EventError: the event cannot go on the wire; nothing was sent.
        :raises RateLimitExceeded: a rate limit refuses it; nothing was sent.
        :raises OutboxFull: as many events wait for the backend as may.
        """
        [receipt] = self.send_all([self.prepare(channel, name, data, **options)])
        return receipt

    def send_all(self, prepared: Sequence[Prepared]) -> list[Receipt]:
        """Send events that were prepared; a limit that refuses one lets none out.

        :raises RateLimitExceeded: a rate limit refuses one; nothing was sent.
        :raises OutboxFull: as many events wait as may; those before it were sent.
        """
        for one in prepared:
            self.admit(one)
        return [self.publish(one) for one in prepared]

    def prepare(
        self, channel: str, name: str, data: object, **options: Unpack[SendOptions]
    ) -> Prepared:
        """The first part of :meth:`dispatch`: check everything, send nothing."""
        try:
            return prepare(
                self.config, self.setup.schemas, channel, name, data, **options
            )
        except SSEPushError as error:
            self._tell_failed(channel, name, error)
            raise

    def admit(self, prepared: Prepared) -> None:
        """The second part: count the event against its rate limit.

        :raises RateLimitExceeded: the limit is used up.
        """
        event = prepared.event
        try:
            self.limiter.admit(event.channel, event.name, prepared.rate_limit)
        except SSEPushError as error:
            self._tell_failed(event.channel, event.name, error)
            raise

    def publish(self, prepared: Prepared) -> Receipt:
        """The last part: put the event into the log.

        :raises OutboxFull: as many events wait for the backend as may.
        """
        event = prepared.event
        try:
            receipt = self.worker.publish(event, prepared.priority)
        except SSEPushError as error:
            self._tell_failed(event.channel, event.name, error)
            raise
        self._tell(
            event_published,
            channel=event.channel,
            event=event.name,
            receipt=receipt,
            data=event.data,
        )
        return receipt

    def _tell_failed(self, channel: str, name: str, error: Exception) -> None:
        self._tell(event_failed, channel=channel, event=name, error=error)

    def _opened(self, user_id: str | None) -> None:
        self._tell(client_connected, user_id=user_id)

    def _ended(self, stream: Ended) -> None:
        self._tell(
            client_disconnected,
            user_id=stream.user_id,
            reason=stream.reason,
            duration=stream.duration,
        )

    def _failed(self, event: Event, error: Exception) -> None:
        self._tell_failed(event.channel, event.name, error)

    def _tell(self, signal: NamedSignal, **what: Any) -> None:
        """Send a signal; a receiver's fault is neither ours nor another receiver's."""
        if signal.receivers:
            for receiver in signal.receivers_for(self.app):
                try:
                    receiver(self.app, **what)
                except Exception:
                    _log.exception("A receiver of %s failed", signal.name)


def state_of(app: Flask) -> State:
    """The extension's state of an application.

    :raises ConfigError: ``init_app`` was not called for it, or it is none.
    """
    if not isinstance(app, Flask):
        raise ConfigError(f"This takes a Flask application, not {app!r}.")
    state = app.extensions.get(EXTENSION)
    if state is None:
        raise ConfigError(
            f"The application {app.name!r} has no SSEPush: call sse.init_app(app)."
        )
    return state  # type: ignore[no-any-return]


def current_state() -> State:
    """The extension's state of the current application."""
    return state_of(current_app._get_current_object())  # type: ignore[attr-defined]


def _refuse_other_processes() -> None:
    if has_request_context() and request.environ.get("wsgi.multiprocess"):
        raise ConfigError(
            "This server runs several worker processes, but the memory backend reaches "
            "one only: events would be lost. Set SSE_PUSH_BACKEND_URL to a Redis or "
            "Valkey server (redis://host:6379/0), or run one worker."
        )
