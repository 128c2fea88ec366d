"""The extension object: an application sets it up and calls its verbs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, Unpack

from flask import Flask, Response, has_app_context
from werkzeug.local import LocalProxy

from .application.state import EXTENSION, Setup, State, current_state, state_of
from .blueprint import blueprint
from .cli import commands
from .config import Config
from .errors import BackendError, ConfigError, OutboxFull
from .events import ALL, Channel, group_channel, user_channel
from .log import Backend
from .sending.options import SendKeywords, SendOptions
from .sending.patterns import Rules, Verbs
from .sending.receipt import Receipt
from .sending.sender import Sender
from .signals import broadcast_event, group_event, user_event

_Function = TypeVar("_Function", bound=Callable[..., object])
_UserLoader = TypeVar("_UserLoader", bound=Callable[[], object])
_GroupsLoader = TypeVar("_GroupsLoader", bound=Callable[[str], Iterable[str]])
_Authorizer = TypeVar("_Authorizer", bound=Callable[[str | None], bool])
_HealthAuthorizer = TypeVar("_HealthAuthorizer", bound=Callable[[], bool])

# Seconds that check_health() waits, at most, for a process that has just started. A
# connection attempt that Redis does not answer fails sooner.
_CHECK_SECONDS = 5.0


class SSEPush(Verbs):
    """Pushes events from a Flask application to its users.

    The verbs act for the current application. Outside of an application context they
    act for the application the object was set up for, if there is exactly one.

    :param app: an application to set up at once; otherwise call :meth:`init_app`.
    """

    def __init__(self, app: Flask | None = None) -> None:
        self._setup = Setup()
        # If there is only one application, verbs need no application context.
        self._applications = 0
        self._only: Callable[[], State | None] = lambda: None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set up an application: read its configuration and add the routes.

        This opens no socket and starts no thread or greenlet; each process does so when
        it first needs one.

        :raises ConfigError: an ``SSE_PUSH_*`` value is wrong, or the application is
            set up already.
        """
        if not isinstance(app, Flask):
            raise ConfigError(f"init_app needs a Flask application, not {app!r}.")
        if EXTENSION in app.extensions:
            raise ConfigError(
                f"SSEPush is already set up for the application {app.name!r}: call "
                "init_app only once."
            )
        config = Config.from_mapping(app.config)
        state = State(app, config, self._setup)
        app.register_blueprint(blueprint, url_prefix=config.url_prefix)
        app.extensions[EXTENSION] = state
        app.cli.add_command(commands)
        self._applications += 1
        self._only = weakref.ref(state)

    def user_loader(self, function: _UserLoader) -> _UserLoader:
        """Register the function that returns the id of the user who opens a stream.

        An anonymous client receives broadcasts, unless the :meth:`authorizer` refuses
        it.

        :param function: called in the stream's request context; returns the user id, or
            ``None`` for an anonymous client.
        """
        self._setup.user_loader = _callable(function, "user_loader")
        return function

    def groups_loader(self, function: _GroupsLoader) -> _GroupsLoader:
        """Register the function that returns the groups that a user's stream joins.

        :param function: takes the user id, as text; returns a list of group names.
        """
        self._setup.groups_loader = _callable(function, "groups_loader")
        return function

    def authorizer(self, function: _Authorizer) -> _Authorizer:
        """Register the function that decides whether a client may open a stream.

        :param function: takes the user id, as text, or ``None``. If it returns
            ``False``, the request ends with status 401 for an anonymous client and 403
            for a user.
        """
        self._setup.authorizer = _callable(function, "authorizer")
        return function

    def health_authorizer(self, function: _HealthAuthorizer) -> _HealthAuthorizer:
        """Register the function that decides who can see all of ``/sse/health``.

        Without it, everybody sees only ``status``, ``isHealthy`` and ``timestamp``.

        :param function: called in the request's context without arguments. If it
            returns ``True``, the answer has everything that :meth:`health` returns.
        """
        self._setup.health_authorizer = _callable(function, "health_authorizer")
        return function

    def stream_response(
        self,
        user_id: object = None,
        groups: Iterable[str] | Callable[[], Iterable[str]] = (),
    ) -> Response:
        """Answer the current request with a stream, in a route of your own.

        Authenticate the user first, because the client gets all of the user's events.

        :param user_id: the user whose events are sent; ``None`` for broadcasts only.
        :param groups: names of the groups that the stream joins, or a function that
            returns them; then no :meth:`join` or :meth:`leave` is missed while it looks
            them up.
        :raises NotAcceptable: the client does not accept an event stream (status 406).
        :raises EventError: the user id or a group name is not allowed.
        :raises ConfigError: the server was started in a way that cannot serve streams.
        """
        return current_state().engine.streams.respond(user_id, groups)

    def issue_ticket(
        self,
        user_id: object,
        groups: Iterable[str] = (),
        seconds: float = 60,
        *,
        resume_seconds: float = 3_600,
    ) -> str:
        """Make a ticket that opens this user's stream: ``/sse/stream?ticket=…``.

        For clients without a cookie: pages of other origins, mobile apps, devices. A
        ticket is signed with the application's secret key and is not stored, so it can
        be used more than once while it is valid. The :meth:`authorizer` is called at
        each use; ``user_loader`` and ``groups_loader`` are not. :meth:`remove_client`
        makes the earlier tickets of its user invalid.

        :param groups: names of the groups that its streams join. :meth:`join` and
            :meth:`leave` change the groups of its open streams, not the ticket.
        :param seconds: how long it opens new streams, from 1 second to a day.
        :param resume_seconds: how long after that, from 0 seconds to a day, it can
            still resume a stream with a ``Last-Event-ID`` and acknowledge events. It
            then gives no access to events from before it was issued.
        :raises ConfigError: the application has no secret key.
        :raises EventError: an argument is not allowed.
        """
        return self._state().issue_ticket(user_id, groups, seconds, resume_seconds)

    def health(self) -> dict[str, Any]:
        """The state of the extension, as a dict that can be sent as JSON.

        ``status`` is ``healthy`` while events can be sent, even if nobody is connected,
        and ``unhealthy`` while they cannot. It is ``starting`` in a process that has
        just started and still cannot read the event log after a wait of half a second.
        ``isHealthy`` is ``False`` only if ``status`` is ``unhealthy``.
        """
        return self._state().engine.health()

    def check_health(self) -> dict[str, Any]:
        """Like :meth:`health`, but raise an error if events cannot be sent.

        A process that has just started waits up to 5 seconds until it can read the
        event log.

        :returns: the same as :meth:`health`.
        :raises OutboxFull: the outbox is full.
        :raises BackendError: the backend cannot be reached.
        """
        health = self._state().engine.health(_CHECK_SECONDS)
        is_reachable = health["backend"]["reachable"]
        if is_reachable and not health["isHealthy"]:
            raise OutboxFull(health["outboxEvents"])
        if not is_reachable:
            raise BackendError(
                "The backend of SSE_PUSH_BACKEND_URL cannot be reached; "
                f"{health['outboxEvents']} events wait in the outbox."
            )
        return health

    def _get_sender(self) -> Sender:
        return self._state().sender

    def _get_backend(self) -> Backend:
        return self._state().engine.backend

    def _get_rules(self) -> Rules:
        return self._setup.rules

    def _state(self) -> State:
        if has_app_context():
            return current_state()
        state = self._only()
        if self._applications == 1 and state is not None:
            return state
        if not self._applications:
            raise ConfigError(
                "SSEPush is not set up for any application: call init_app first."
            )
        raise ConfigError(
            f"SSEPush is set up for {self._applications} applications, and there is no "
            "application context that says which one is meant: put the call inside "
            "'with app.app_context():'."
        )


def _callable(function: _Function, name: str) -> _Function:
    if not callable(function):
        raise ConfigError(f"{name} takes a function, not {function!r}.")
    return function


def _send_for(
    app: object, channel: Channel, event: str, data: object, options: SendKeywords
) -> Receipt:
    """Send for the application that sent a signal."""
    # Receivers may have been sent current_app, which is only a proxy.
    if isinstance(app, LocalProxy):
        app = app._get_current_object()
    sender = state_of(app).sender  # type: ignore[arg-type]
    checked = SendOptions.from_keywords(options)
    [receipt] = sender.send([channel], event, data, checked)
    return receipt


@user_event.connect
def _on_user_event(
    app: object,
    *,
    user_id: object,
    event: str,
    data: object,
    **options: Unpack[SendKeywords],
) -> Receipt:
    return _send_for(app, user_channel(user_id), event, data, options)


@group_event.connect
def _on_group_event(
    app: object,
    *,
    group: str,
    event: str,
    data: object,
    **options: Unpack[SendKeywords],
) -> Receipt:
    return _send_for(app, group_channel(group), event, data, options)


@broadcast_event.connect
def _on_broadcast_event(
    app: object, *, event: str, data: object, **options: Unpack[SendKeywords]
) -> Receipt:
    return _send_for(app, ALL, event, data, options)
