"""The extension: what an application sets up, and the verbs its code calls."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from flask import Flask, Response, has_app_context

from .backends import Backend
from .blueprint import blueprint
from .config import Config
from .errors import ConfigError
from .events import ALL, group_channel, user_channel
from .outbox import Receipt
from .patterns import Patterns
from .schemas import SchemaRegistry
from .signals import broadcast_event, group_event, user_event
from .state import EXTENSION, Setup, State, current_state
from .streams import open_stream
from .verbs import Verbs

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
        self._states: weakref.WeakSet[State] = weakref.WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set an application up: read its configuration, add the routes.

        Opens no socket and starts nothing; that happens when a process first needs it.

        :raises ConfigError: a ``SSE_PUSH_*`` value is wrong, or the application has an
            SSEPush already.
        """
        if EXTENSION in app.extensions:
            raise ConfigError(
                f"The application {app.name!r} has an SSEPush already: call init_app "
                "once."
            )
        config = Config.from_mapping(app.config)
        state = State(app, config, self._setup)
        app.extensions[EXTENSION] = state
        self._states.add(state)
        app.register_blueprint(blueprint, url_prefix=config.url_prefix)
        user_event.connect(_on_user_event, sender=app)
        group_event.connect(_on_group_event, sender=app)
        broadcast_event.connect(_on_broadcast_event, sender=app)

    def user_loader(self, function: _UserLoader) -> _UserLoader:
        """Register who tells the id of the user that asks for a stream.

        :param function: called in the stream's request context, gives the id or
            ``None`` for an anonymous client.
        """
        self._setup.user_loader = function
        return function

    def groups_loader(self, function: _GroupsLoader) -> _GroupsLoader:
        """Register who tells the groups that a user's stream joins.

        :param function: takes the user id, gives names of groups.
        """
        self._setup.groups_loader = function
        return function

    def authorizer(self, function: _Authorizer) -> _Authorizer:
        """Register who decides whether a client may open a stream.

        :param function: takes the user id or ``None``; ``False`` ends the request
            with 401 for an anonymous client, 403 for a user.
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
        self, channels: Sequence[str], event: str, data: object, **options: Any
    ) -> list[Receipt]:
        state = self._state()
        return state.send_all(
            [state.prepare(channel, event, data, **options) for channel in channels]
        )

    def _remove_client(self, user_id: str) -> None:
        self._state().worker.remove_client(user_id)

    @property
    def _backend(self) -> Backend:
        return self._state().worker.backend

    @property
    def _schemas(self) -> SchemaRegistry:
        return self._setup.schemas

    def _state(self) -> State:
        if has_app_context():
            return current_state()
        states = list(self._states)
        if len(states) == 1:
            return states[0]
        raise ConfigError(
            f"SSEPush was set up for {len(states)} applications and none is current: "
            "wrap the call in 'with app.app_context():'."
        )


def _on_user_event(
    app: Flask, *, user_id: object, event: str, data: object, **options: Any
) -> Receipt:
    state: State = app.extensions[EXTENSION]
    return state.dispatch(user_channel(user_id), event, data, **options)


def _on_group_event(
    app: Flask, *, group: str, event: str, data: object, **options: Any
) -> Receipt:
    state: State = app.extensions[EXTENSION]
    return state.dispatch(group_channel(group), event, data, **options)


def _on_broadcast_event(
    app: Flask, *, event: str, data: object, **options: Any
) -> Receipt:
    state: State = app.extensions[EXTENSION]
    return state.dispatch(ALL, event, data, **options)
