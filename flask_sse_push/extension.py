"""The extension: what an application sets up, and the verbs its code calls."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, Unpack

from flask import Flask, Response, has_app_context
from werkzeug.local import LocalProxy

from .application.state import EXTENSION, Setup, State, current_state, state_of
from .blueprint import blueprint
from .config import Config
from .delivery.streams import open_stream
from .errors import ConfigError
from .events import ALL, group_channel, user_channel
from .log import Backend
from .schemas import SchemaRegistry
from .sending.outbox import Receipt
from .sending.patterns import Patterns
from .sending.prepare import SendOptions
from .sending.verbs import Verbs
from .signals import broadcast_event, group_event, user_event

_UserLoader = TypeVar("_UserLoader", bound=Callable[[], object])
_GroupsLoader = TypeVar("_GroupsLoader", bound=Callable[[str], Iterable[str]])
_Authorizer = TypeVar("_Authorizer", bound=Callable[[str | None], bool])


class SSEPush(Verbs, Patterns):
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
        self, user_id: object = None, groups: Iterable[str] = ()
    ) -> Response:
        """Answer the current request with a stream, in a route of your own.

        Authenticate first: whoever gets the response gets the user's events.

        :param user_id: whose events; ``None`` for broadcasts only.
        :param groups: names of the groups it joins.
        """
        return open_stream(current_state(), user_id, groups)

    def health(self) -> dict[str, Any]:
        """How the extension fares, JSON-ready.

        ``isHealthy`` says whether events get through, not whether anybody listens.
        """
        return self._state().worker.health()

    def _dispatch(
        self,
        channels: Sequence[str],
        event: str,
        data: object,
        **options: Unpack[SendOptions],
    ) -> list[Receipt]:
        state = self._state()
        return state.send_all(
            [state.prepare(channel, event, data, **options) for channel in channels]
        )

    def _remove_client(self, user_id: str) -> None:
        self._state().worker.remove_client(user_id)

    def _get_backend(self) -> Backend:
        return self._state().worker.backend

    def _get_schemas(self) -> SchemaRegistry:
        return self._setup.schemas

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


def _sender(app: object) -> State:
    """The state of who sent a signal; ``current_app``, a proxy, is its application."""
    if isinstance(app, LocalProxy):
        app = app._get_current_object()
    return state_of(app)  # type: ignore[arg-type]


@user_event.connect
def _on_user_event(
    app: object,
    *,
    user_id: object,
    event: str,
    data: object,
    **options: Unpack[SendOptions],
) -> Receipt:
    channel = user_channel(user_id)
    return _sender(app).dispatch(channel, event, data, **options)


@group_event.connect
def _on_group_event(
    app: object, *, group: str, event: str, data: object, **options: Unpack[SendOptions]
) -> Receipt:
    return _sender(app).dispatch(group_channel(group), event, data, **options)


@broadcast_event.connect
def _on_broadcast_event(
    app: object, *, event: str, data: object, **options: Unpack[SendOptions]
) -> Receipt:
    return _sender(app).dispatch(ALL, event, data, **options)
