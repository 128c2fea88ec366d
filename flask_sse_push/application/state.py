"""The extension's state of one application, in ``app.extensions["sse_push"]``."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from blinker import NamedSignal
from flask import Flask, current_app, has_request_context, request

from ..config import Config
from ..delivery.hub import Ended
from ..errors import ConfigError
from ..events import is_user_channel
from ..log import RateWindows, make_backend
from ..runtime.concurrency import native_lock
from ..sending.data import Serializer
from ..sending.patterns import Rules
from ..sending.ratelimit import RateLimiter
from ..sending.receipt import Receipt
from ..sending.sender import Outgoing, Sender
from ..signals import (
    announce,
    client_connected,
    client_disconnected,
    user_offline,
    user_online,
)
from .engine import Engine
from .presence import PresenceTeller
from .tickets import Tickets

EXTENSION = "sse_push"

_log = logging.getLogger("flask_sse_push")


@dataclass(slots=True)
class Setup:
    """The functions and rules registered with one ``SSEPush``, for all applications."""

    user_loader: Callable[[], object] | None = None
    groups_loader: Callable[[str], Iterable[str]] | None = None
    authorizer: Callable[[str | None], bool] | None = None
    health_authorizer: Callable[[], bool] | None = None
    rules: Rules = field(default_factory=Rules)


class State:
    """One application's configuration and sender, and its engine in this process.

    :param app: the sender of signals; only a weak reference is kept.
    """

    def __init__(self, app: Flask, config: Config, setup: Setup) -> None:
        # Made only to check the settings; each process makes its own when it needs it.
        make_backend(config)
        self.config = config
        self.setup = setup
        self._is_memory = config.is_memory
        self.sender = Sender(
            config=config,
            schemas=setup.rules.schemas,
            serializer=Serializer(weakref.ref(app)),
            limiter=RateLimiter(config, setup.rules.limits, self._rate_windows),
            append=self._append,
            announce=self._announce,
        )
        self._app = weakref.ref(app)
        self.tickets = Tickets(self._secret_keys, lambda: self.engine)
        self._engine: Engine | None = None
        self._engine_pid = 0
        self._lock = native_lock()
        # Whether streams can have users, or the warning about it has been logged.
        self._has_users = False

    @property
    def engine(self) -> Engine:
        """This process's engine. A forked process makes a new one.

        :raises ConfigError: the backend is ``memory://`` and the server runs several
            processes.
        """
        if self._is_memory:
            _refuse_other_processes()
        if self._engine_pid != os.getpid():
            with self._lock:
                if self._engine_pid != os.getpid():
                    self._engine = Engine(
                        self.config,
                        self._opened,
                        self._ended,
                        self.sender.announce_failed,
                        PresenceTeller(self._tell_presence, _hears_of_presence),
                    )
                    self._engine_pid = os.getpid()
        assert self._engine is not None
        return self._engine

    def _append(self, outgoing: Sequence[Outgoing]) -> Iterator[Receipt]:
        if not self._has_users:
            self._check_users(outgoing)
        yield from self.engine.append(outgoing)

    def _check_users(self, outgoing: Sequence[Outgoing]) -> None:
        """Log a warning, once, if events go to users but no stream can have a user."""
        if self.setup.user_loader is not None:
            self._has_users = True
        elif any(is_user_channel(one.event.target) for one in outgoing):
            self._has_users = True
            _log.warning(
                "An event was sent to a user, but no user_loader is registered: every "
                "stream is anonymous, so nobody receives it. Register a function that "
                "returns the current user's id with @sse.user_loader, open the stream "
                "in a route of your own with sse.stream_response(user_id), or give "
                "clients a ticket with sse.issue_ticket(user_id)."
            )

    def _secret_keys(self) -> list[Any]:
        """The keys for signatures, the current one last, as for Flask's session."""
        app = self._app()
        if app is None or not app.secret_key:
            return []
        return [*(app.config.get("SECRET_KEY_FALLBACKS") or ()), app.secret_key]

    def issue_ticket(
        self,
        user_id: object,
        groups: Iterable[str],
        seconds: float,
        resume_seconds: float,
    ) -> str:
        """Make a ticket, as :meth:`.Tickets.issue` does: streams can have users now."""
        ticket = self.tickets.issue(user_id, groups, seconds, resume_seconds)
        self._has_users = True
        return ticket

    def _rate_windows(self) -> RateWindows:
        return self.engine.backend.rate_windows()

    def _opened(self, user_id: str | None) -> None:
        if user_id is not None:
            self._has_users = True
        self._announce(client_connected, user_id=user_id)

    def _ended(self, stream: Ended) -> None:
        self._announce(
            client_disconnected,
            user_id=stream.user_id,
            reason=stream.reason,
            duration=stream.duration,
        )

    def _tell_presence(self, user_id: str, is_online: bool) -> None:
        self._announce(user_online if is_online else user_offline, user_id=user_id)

    def _announce(self, signal: NamedSignal, **what: Any) -> None:
        if signal.receivers:
            announce(signal, self._app(), **what)


def _hears_of_presence() -> bool:
    """Whether any function is connected to ``user_online`` or ``user_offline``."""
    return bool(user_online.receivers or user_offline.receivers)


def state_of(app: Flask) -> State:
    """The extension's state of an application.

    :raises ConfigError: ``app`` is not an application, or it was not passed to
        ``init_app``.
    """
    if not isinstance(app, Flask):
        raise ConfigError(f"Expected a Flask application, not {app!r}.")
    state = app.extensions.get(EXTENSION)
    if state is None:
        raise ConfigError(
            f"SSEPush is not set up for the application {app.name!r}: call "
            "sse.init_app(app) where the application is created."
        )
    return state  # type: ignore[no-any-return]


def current_state() -> State:
    """The extension's state of the current application."""
    return state_of(current_app._get_current_object())  # type: ignore[attr-defined]


def _refuse_other_processes() -> None:
    if has_request_context() and request.environ.get("wsgi.multiprocess"):
        raise ConfigError(
            "This server runs several worker processes, but the memory backend reaches "
            "only one of them, so events would be lost. Set SSE_PUSH_BACKEND_URL to a "
            "Redis or Valkey server (redis://host:6379/0), or run one worker."
        )
