"""Answers requests with streams."""

from __future__ import annotations

import _socket
import contextlib
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
from .admission import Admission
from .connections import Connection, Limits, StreamedConnection, handed_off_class
from .connections.takeover import (
    Handover,
    client_has_left,
    encode_head,
    find_socket,
    is_gunicorns_own,
    parse_head,
    take,
    tell_gunicorn,
)
from .hub import Ended, Hub
from .negotiation import MIMETYPE, last_event_id, require_acceptable
from .resume import Resume
from .servers import require_fit_server, thread_count
from .threads import Threads

_log = logging.getLogger("flask_sse_push")
_streams_log = logging.getLogger("flask_sse_push.streams")

# EventSource gives up for good on any status except 200. A client that cannot be served
# now therefore gets a stream that ends at once, and reconnects after this time.
_BUSY_RETRY_MS = 5_000
# A machine that stalls for a second must not cost clients their connection.
_SHORTEST_VANISHED_MS = 5_000
_NO_MAILBOX = "the mailbox cannot be read"
_NO_THREAD = "the server's last threads are kept for other requests"
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
            vanished_ms=min(
                max(int(2_000 * config.heartbeat_seconds), _SHORTEST_VANISHED_MS),
                2**31 - 1,
            ),
        )
        self._threads = Threads()
        self._on_opened = on_opened
        self._on_ended = on_ended

    def respond(self, user_id: object = None, groups: Iterable[str] = ()) -> Response:
        """Answer the current request with a stream.

        The caller has authenticated the user. No part of the request is kept.

        :param user_id: the user whose events are sent; ``None`` for broadcasts only.
        :param groups: names of the groups that the stream joins.
        :raises NotAcceptable: the client does not accept an event stream (status 406).
        :raises EventError: the user id or a group name is not allowed.
        :raises ConfigError: the server was started in a way that cannot serve streams.
        """
        require_acceptable(request)
        if request.method == "HEAD":
            # A server sends no body for HEAD, so a stream would never start or end.
            return Response(mimetype=MIMETYPE, headers=_HEADERS)
        is_handed_off = self._find_socket(request.environ) is not None
        require_fit_server(request.environ, is_handed_off=is_handed_off)
        user_channel = None if user_id is None else channel_of(user_id)
        channels = group_channels(groups)
        if reason := self.admission.refusal(user_channel):
            return _busy(reason)
        response = _response_class(current_app.response_class)()  # type: ignore[arg-type]
        response.opening = _Opening(
            self, user_channel, channels, last_event_id(request)
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
        found = self._find_socket(environ)
        if found is not None and not is_gunicorns_own(start_response):
            protocol = environ["SERVER_PROTOCOL"]

            def finish(taken: _socket.socket, head: bytes) -> None:
                self._take(response, protocol, taken, head)

            response.response = Handover(found, finish, response.close)
            return response.start(environ, start_response)
        try:
            resume, missed = self._prepare(opening)
        except BackendError:
            return _busy(_NO_MAILBOX)(environ, start_response)
        try:
            if found is None:
                connection, body = self._stream(response, environ, start_response)
            else:
                connection, body = self._hand_off(
                    response, environ, start_response, found
                )
        except BaseException:
            self._backend.detach(opening.channels)
            raise
        if connection is None:
            self._backend.detach(opening.channels)
        else:
            self._join(connection, response, resume, missed)
        return body

    def _find_socket(self, environ: dict[str, Any]) -> Any | None:
        return find_socket(environ) if self._config.handoff == "auto" else None

    def _hand_off(
        self,
        response: StreamResponse,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
        found: Any,
    ) -> tuple[Connection, Iterable[bytes]]:
        """Take the socket from gunicorn, which has nothing more to do then."""
        headers = response.headers.to_wsgi_list()
        head = encode_head(environ["SERVER_PROTOCOL"], response.status, headers)
        # First, because gunicorn refuses headers that it cannot send.
        tell_gunicorn(start_response, response.status, headers)
        opening = response.opening
        connection = handed_off_class()(
            *(self.hub, self._limits, opening.user_channel, opening.groups),
            take(found),
            head,
        )
        return connection, ()

    def _take(
        self,
        response: StreamResponse,
        protocol: str,
        taken: _socket.socket,
        written: bytes,
    ) -> None:
        """Make a connection of a socket that was taken while its server wrote.

        :param written: what the server wrote.
        """
        opening = response.opening
        own = (response.status, response.headers.to_wsgi_list())
        head = encode_head(protocol, *(parse_head(written) or own))
        # Once more: many may have been on their way here.
        refusal = self.admission.refusal(opening.user_channel)
        if not refusal:
            try:
                resume, missed = self._prepare(opening)
            except BackendError:
                refusal = _NO_MAILBOX
        if refusal:
            with contextlib.suppress(OSError):
                taken.send(head + _busy_text(refusal))
            taken.close()
            response.close()
            return
        try:
            connection = handed_off_class()(
                *(self.hub, self._limits, opening.user_channel, opening.groups),
                taken,
                head,
            )
        except BaseException:
            self._backend.detach(opening.channels)
            raise
        self._join(connection, response, resume, missed)

    def _stream(
        self,
        response: StreamResponse,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
    ) -> tuple[Connection | None, Iterable[bytes]]:
        """A connection that keeps the server's thread, if there is one to spare."""
        opening = response.opening
        threads = thread_count(environ)
        connection = StreamedConnection(
            *(self.hub, self._limits, opening.user_channel, opening.groups),
            client_has_left(environ),
            probes=threads is not None,
            on_left=self._threads.leave,
        )
        if not self._threads.take(connection, threads):
            return None, _busy(_NO_THREAD)(environ, start_response)
        response.response = connection
        try:
            return connection, response.start(environ, start_response)
        except BaseException:
            connection.leave_thread()
            raise

    def _join(
        self,
        connection: Connection,
        response: StreamResponse,
        resume: Resume,
        missed: Sequence[Entry],
    ) -> None:
        """Let a connection in."""
        if response.has_on_close:
            connection.call_on_close(response.close)
        try:
            self.hub.register(connection, resume, missed)
            self._on_opened(connection.user_id)
        except BaseException:
            # For example a timeout. The server got no body that it could close.
            connection.close("error")
            raise

    def _prepare(self, opening: _Opening) -> tuple[Resume, Sequence[Entry]]:
        """Where the client resumes, and what it has missed.

        :raises BackendError: the backend cannot be reached.
        """
        resume = self._read_resume(opening.last_event_id)
        return resume, self._missed(opening, resume)

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
        return (*attached, *self._unread(opening.user_channel, resume))

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
                "stream ended: user=%s carrier=%s reason=%s seconds=%.1f events=%d "
                "bytes=%d",
                stream.user_id,
                stream.carrier,
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
    return Response(_busy_text(reason), mimetype=MIMETYPE, headers=_HEADERS)


def _busy_text(reason: str) -> bytes:
    retry = int(_BUSY_RETRY_MS * random.uniform(0.5, 1.5))
    return encode_retry(retry) + encode_comment(reason)
