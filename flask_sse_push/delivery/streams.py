"""Answering requests with streams."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flask import Response, current_app, request

from ..config import Config
from ..errors import BackendError
from ..events import (
    ALL,
    START,
    Channel,
    Entry,
    channel_member,
    encode_comment,
    encode_retry,
    group_channels,
)
from ..events import user_channel as channel_of
from ..log import Backend
from .admission import Admission, require_fit_server
from .connections import (
    Connection,
    HandedOffConnection,
    Limits,
    StreamedConnection,
    can_hand_off,
)
from .hub import Ended, Hub
from .membership import Watch
from .negotiation import MIMETYPE, last_event_id, require_acceptable
from .resume import Resume

_log = logging.getLogger("flask_sse_push")
_streams_log = logging.getLogger("flask_sse_push.streams")

# EventSource gives up for ever on any status but 200, and on an error while it opens.
# So a client that cannot be served now gets a stream that ends, and this long to wait.
_BUSY_RETRY_MS = 5_000
_HEADERS = {
    # no-transform: proxies that compress hold events back.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


class Streams:
    """The streams of one application in one process.

    :param on_opened: told, by its user's id, about a stream that has opened.
    :param on_ended: told about a stream that has ended.
    """

    def __init__(
        self,
        config: Config,
        backend: Backend,
        on_opened: Callable[[str | None], None],
        on_ended: Callable[[Ended], None],
    ) -> None:
        self.hub = Hub(config, self._tell_ended)
        self.admission = Admission(config, self.hub, backend)
        self._config = config
        self._backend = backend
        self._limits = Limits(
            pending_bytes=config.max_pending_bytes,
            vanished_ms=min(int(2_000 * config.heartbeat_seconds), 2**31 - 1),
        )
        self._on_opened = on_opened
        self._on_ended = on_ended

    def respond(
        self,
        user_id: object = None,
        groups: Iterable[str] | Callable[[], Iterable[str]] = (),
    ) -> Response:
        """Answer the current request with a stream.

        The user has been authenticated. Nothing of the request is kept.

        :param user_id: whose events it gets; ``None`` for broadcasts only.
        :param groups: names of the groups it joins, or a function that tells them: what
            changes while it looks is not missed.
        :raises NotAcceptable: the client takes no event stream (406).
        :raises EventError: the user id or the name of a group is not allowed.
        :raises ConfigError: the server cannot serve streams as it was started.
        """
        require_acceptable(request)
        if request.method == "HEAD":
            # A server never starts the body of an answer to HEAD, nor would it end.
            return Response(mimetype=MIMETYPE, headers=_HEADERS)
        require_fit_server(request.environ)
        user_channel = None if user_id is None else channel_of(user_id)
        if not callable(groups):
            groups = group_channels(groups)
        if reason := self.admission.refusal(user_channel):
            return _busy(reason)
        watch = self.hub.watch(user_channel)
        channels = group_channels(groups()) if callable(groups) else groups
        response = _response_class(current_app.response_class)()  # type: ignore[arg-type]
        response.opening = _Opening(
            self, user_channel, channels, last_event_id(request), watch
        )
        return response

    def open(
        self,
        response: StreamResponse,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
    ) -> Iterable[bytes]:
        """Make the connection, now that the server asks for the response."""
        opening = response.opening
        # Once more: many may have been on their way here.
        if reason := self.admission.refusal(opening.user_channel):
            return _busy(reason)(environ, start_response)
        resume = self._read_resume(opening.last_event_id)
        try:
            missed = self._missed(opening, resume)
        except BackendError:
            return _busy("what was missed cannot be read")(environ, start_response)
        try:
            connection, body = self._connect(response, environ, start_response)
        except BaseException:
            self._backend.detach(opening.channels)
            raise
        if response.has_on_close:
            connection.call_on_close(response.close)
        try:
            self.hub.register(connection, resume, missed, opening.watch)
            self._on_opened(connection.user_id)
        except BaseException:
            # A time limit, say: with no body returned, nobody else would close it.
            connection.close("error")
            raise
        return body

    def _connect(
        self,
        response: StreamResponse,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
    ) -> tuple[Connection, Iterable[bytes]]:
        """The carrier that fits the server, and the body to give the server."""
        opening = response.opening
        seat = (self.hub, self._limits, opening.user_channel, opening.groups)
        if self._config.handoff == "auto" and can_hand_off(environ, start_response):
            headers = response.headers.to_wsgi_list()
            handed_off = HandedOffConnection(
                *seat, environ, start_response, response.status, headers
            )
            return handed_off, ()
        streamed = response.response = StreamedConnection(*seat)
        return streamed, response.start(environ, start_response)

    def _read_resume(self, last_event_id: str | None) -> Resume:
        cursor = self._backend.parse_cursor(last_event_id) if last_event_id else None
        return Resume.read(
            last_event_id,
            cursor,
            now=self.hub.position,
            is_memory=self._config.is_memory,
        )

    def _missed(self, opening: _Opening, resume: Resume) -> Sequence[Entry]:
        """What the client has missed and history cannot give it.

        :raises BackendError: the backend cannot be reached.
        """
        cursor = None if resume.is_fresh else resume.cursor
        attached = self._backend.attach(opening.channels, cursor)
        retained = self._retained(opening, resume)
        return (*attached, *retained, *self._unread(opening.user_channel, resume))

    def _retained(self, opening: _Opening, resume: Resume) -> Sequence[Entry]:
        """The newest event of each key, as far as history does not hold it."""
        channels = (ALL, *opening.channels)
        if resume.is_fresh:
            return self._backend.retained(channels)
        if resume.cursor < self.hub.history.floor(channels):
            return self._backend.retained(channels, resume.cursor)
        return ()

    def _unread(self, user_channel: Channel | None, resume: Resume) -> Sequence[Entry]:
        if user_channel is None or not self._config.mailbox_size:
            return ()
        if resume.is_fresh:
            after = START
        elif resume.cursor < self.hub.history.floor((user_channel,)):
            after = resume.cursor
        else:
            return ()
        return self._backend.unread(channel_member(user_channel), after)

    def _tell_ended(self, ended: Sequence[Ended]) -> None:
        for stream in ended:
            _streams_log.info(
                "stream ended: user=%s reason=%s seconds=%.1f events=%d bytes=%d",
                stream.user_id,
                stream.reason,
                stream.duration,
                stream.events,
                stream.bytes,
            )
            self._backend.detach(stream.channels)
            if stream.on_close is not None:
                try:
                    stream.on_close()
                except Exception:
                    _log.exception("A function called at the end of a stream failed")
            self._on_ended(stream)


@dataclass(frozen=True, slots=True)
class _Opening:
    """What is needed to open a stream when the server calls the response."""

    streams: Streams
    user_channel: Channel | None
    groups: tuple[Channel, ...]
    last_event_id: str | None
    watch: Watch | None

    @property
    def channels(self) -> tuple[Channel, ...]:
        own = () if self.user_channel is None else (self.user_channel,)
        return (*own, *self.groups)


class StreamResponse(Response):
    """A response that becomes a connection when the server calls it.

    Not before: until then another response may be sent in its place.
    """

    default_mimetype = MIMETYPE
    opening: _Opening

    def __init__(self) -> None:
        # An iterator has no length to announce; and passed through, because a hook that
        # wanted to read the whole body would never end.
        super().__init__(iter(()), headers=_HEADERS, direct_passthrough=True)
        self.has_on_close = False

    def call_on_close(self, func: Callable[[], Any]) -> Callable[[], Any]:
        self.has_on_close = True
        return super().call_on_close(func)

    def start(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer as any response does, with the body it has by now."""
        return super().__call__(environ, start_response)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        return self.opening.streams.open(self, environ, start_response)


@lru_cache(maxsize=16)
def _response_class(base: type[Response]) -> type[StreamResponse]:
    """The class for an application whose responses are of another class than Flask's.

    Flask turns a response of any other class into its own, which cannot stream.
    """
    if issubclass(StreamResponse, base):
        return StreamResponse
    return type("StreamResponse", (StreamResponse, base), {})


def _busy(reason: str) -> Response:
    """A stream that ends at once and asks the client to come again later."""
    retry = int(_BUSY_RETRY_MS * random.uniform(0.5, 1.5))
    body = encode_retry(retry) + encode_comment(reason)
    return Response(body, mimetype=MIMETYPE, headers=_HEADERS)
