"""Answers requests with streams."""

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
    Position,
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

# EventSource gives up for good on any status except 200. A client that cannot be served
# now therefore gets a stream that ends at once, and reconnects after this time.
_BUSY_RETRY_MS = 5_000
_HEADERS = {
    # no-transform, because proxies that compress a stream delay its events.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


class Streams:
    """The streams of one application in one process.

    :param on_opened: called with the user id when a stream has opened.
    :param on_ended: called when a stream has ended.
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
        *,
        not_before: Position = START,
    ) -> Response:
        """Answer the current request with a stream.

        The caller has authenticated the user. No part of the request is kept.

        :param user_id: the user whose events are sent; ``None`` for broadcasts only.
        :param groups: names of the groups that the stream joins, or a function that
            returns them; then no change is missed while it looks them up.
        :param not_before: a client that resumes from an earlier position gets only the
            events after this one, and is told of the gap.
        :raises NotAcceptable: the client does not accept an event stream (status 406).
        :raises EventError: the user id or a group name is not allowed.
        :raises ConfigError: the server was started in a way that cannot serve streams.
        """
        require_acceptable(request)
        if request.method == "HEAD":
            # A server sends no body for HEAD, so a stream would never start or end.
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
            self, user_channel, channels, last_event_id(request), not_before, watch
        )
        return response

    def open(
        self,
        response: StreamResponse,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
    ) -> Iterable[bytes]:
        """Make the connection, when the server calls the response."""
        opening = response.opening
        # Checked again: other streams may have opened since respond() was called.
        if reason := self.admission.refusal(opening.user_channel):
            return _busy(reason)(environ, start_response)
        resume = self._read_resume(opening.last_event_id).not_before(opening.not_before)
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
            # For example a timeout. The server got no body that it could close.
            connection.close("error")
            raise
        return body

    def _connect(
        self,
        response: StreamResponse,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
    ) -> tuple[Connection, Iterable[bytes]]:
        """The kind of connection that suits the server, and the body for the server."""
        opening = response.opening
        common = (self.hub, self._limits, opening.user_channel, opening.groups)
        if self._config.handoff == "auto" and can_hand_off(environ, start_response):
            headers = response.headers.to_wsgi_list()
            handed_off = HandedOffConnection(
                *common, environ, start_response, response.status, headers
            )
            return handed_off, ()
        streamed = response.response = StreamedConnection(*common)
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
        """The events that the client has missed and that the history may not hold.

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
                    _log.exception(
                        "A response.call_on_close() function raised an error"
                    )
            self._on_ended(stream)


@dataclass(frozen=True, slots=True)
class _Opening:
    """The values needed to open a stream when the server calls the response."""

    streams: Streams
    user_channel: Channel | None
    groups: tuple[Channel, ...]
    last_event_id: str | None
    not_before: Position
    watch: Watch | None

    @property
    def channels(self) -> tuple[Channel, ...]:
        own = () if self.user_channel is None else (self.user_channel,)
        return (*own, *self.groups)


class StreamResponse(Response):
    """A response that becomes a connection when the server calls it.

    It does not do so earlier, because the application may still replace the response.
    """

    default_mimetype = MIMETYPE
    opening: _Opening

    def __init__(self) -> None:
        # An iterator has no Content-Length. The body is passed through directly: a hook
        # that reads the whole body would never return.
        super().__init__(iter(()), headers=_HEADERS, direct_passthrough=True)
        self.has_on_close = False

    def call_on_close(self, func: Callable[[], Any]) -> Callable[[], Any]:
        self.has_on_close = True
        return super().call_on_close(func)

    def start(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer like any other response, with the body that was set."""
        return super().__call__(environ, start_response)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        return self.opening.streams.open(self, environ, start_response)


@lru_cache(maxsize=16)
def _response_class(base: type[Response]) -> type[StreamResponse]:
    """The stream response class for an application's ``response_class``.

    Flask converts a response that is not an instance of ``response_class``, and the
    converted response could not stream.
    """
    if issubclass(StreamResponse, base):
        return StreamResponse
    return type("StreamResponse", (StreamResponse, base), {})


def _busy(reason: str) -> Response:
    """A stream that ends at once and makes the client reconnect later."""
    retry = int(_BUSY_RETRY_MS * random.uniform(0.5, 1.5))
    body = encode_retry(retry) + encode_comment(reason)
    return Response(body, mimetype=MIMETYPE, headers=_HEADERS)
