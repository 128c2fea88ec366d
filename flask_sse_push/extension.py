"""The extension: what an application sets up, and the verbs its code calls."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, Unpack

from flask import Flask, Response, has_app_context
from werkzeug.local import LocalProxy

from .application.state import EXTENSION, Setup, State, current_state, state_of
from .blueprint import blueprint
from .config import Config
from .errors import BackendError, ConfigError, OutboxFull
from .events import ALL, Channel, group_channel, user_channel
from .log import Backend
from .sending.options import SendKeywords, SendOptions
from .sending.patterns import Rules, Verbs
from .sending.receipt import Receipt
from .sending.sender import Sender
from .signals import broadcast_event, group_event, user_event

_UserLoader = TypeVar("_UserLoader", bound=Callable[[], object])
_GroupsLoader = TypeVar("_GroupsLoader", bound=Callable[[str], Iterable[str]])
_Authorizer = TypeVar("_Authorizer", bound=Callable[[str | None], bool])


class SSEPush(Verbs):
    """Pushes events from a Flask application to its users.

    The verbs act for the current application. Outside of an application context they
    act for the one application the object was set up for, if it is only one.

    :param app: set up at once; else call :meth:`init_app`.
    """

    def __init__(self, app: Flask | None = None) -> None:
        self._setup = Setup()
        # The only one so far; with a second, a verb must be told which is meant.
        self._applications = 0
        self._only: Callable[[], State | None] = lambda: None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set an application up: read its configuration, add the routes.

        Opens no socket and starts nothing; that happens when a process first needs it.

        :raises ConfigError: a ``SSE_PUSH_*`` value is wrong, or the application has an
            SSEPush already.
        """
        if not isinstance(app, Flask):
            raise ConfigError(f"init_app takes a Flask application, not {app!r}.")
        if EXTENSION in app.extensions:
            raise ConfigError(
                f"The application {app.name!r} has an SSEPush already: call init_app "
                "once."
            )
        config = Config.from_mapping(app.config)
        state = State(app, config, self._setup)
        app.register_blueprint(blueprint, url_prefix=config.url_prefix)
        app.extensions[EXTENSION] = state
        self._applications += 1
        self._only = weakref.ref(state)

    def user_loader(self, function: _UserLoader) -> _UserLoader:
        """Register who tells the id of the user that asks for a stream.

        :param function: called in the stream's request context, gives the id or
            ``None`` for an anonymous client.
        """
        self._setup.user_loader = function
        return function

    def groups_loader(self, function: _GroupsLoader) -> _GroupsLoader:
        """Register who tells the groups that a user's stream joins.

        :param function: takes the user id, which is text, gives names of groups.
        """
        self._setup.groups_loader = function
        return function

    def authorizer(self, function: _Authorizer) -> _Authorizer:
        """Register who decides whether a client may open a stream.

        :param function: takes the user id, as text, or ``None``; ``False`` ends the
            request with 401 for an anonymous client, 403 for a user.
        """
        self._setup.authorizer = function
        return function

    def stream_response(
        self,
        user_id: object = None,
        groups: Iterable[str] | Callable[[], Iterable[str]] = (),
    ) -> Response:
        """Answer the current request with a stream, in a route of your own.

        Authenticate first: whoever gets the response gets the user's events.

        :param user_id: whose events; ``None`` for broadcasts only.
        :param groups: names of the groups it joins; a function that tells them where
            :meth:`join` and :meth:`leave` may be called while it looks them up.
        """
        return current_state().engine.streams.respond(user_id, groups)

    def health(self) -> dict[str, Any]:
        """How the extension fares, JSON-ready.

        ``isHealthy`` says whether events get through, not whether anybody listens.
        """
        return self._state().engine.health()

    def check_health(self) -> dict[str, Any]:
        """Raise where :meth:`health` would say that events do not get through.

        :returns: what :meth:`health` does.
        :raises OutboxFull: no more events can be accepted.
        :raises BackendError: the backend cannot be reached.
        """
        health = self.health()
        if not health["isHealthy"]:
            if health["backend"]["reachable"]:
                raise OutboxFull(health["outboxEvents"])
            raise BackendError(
                "The backend of SSE_PUSH_BACKEND_URL cannot be reached; "
                f"{health['outboxEvents']} events wait for it."
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
            raise ConfigError("SSEPush is set up for no application: call init_app.")
        raise ConfigError(
            f"SSEPush was set up for {self._applications} applications and none is "
            "current: wrap the call in 'with app.app_context():'."
        )


def _send_for(
    app: object, channel: Channel, event: str, data: object, options: SendKeywords
) -> Receipt:
    """Send for the application that sent a signal."""
    # current_app, a proxy, stands for its application.
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
