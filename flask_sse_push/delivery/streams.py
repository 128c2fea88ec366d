"""Answers requests with streams."""

from __future__ import annotations

import _socket
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flask import Response, current_app, request

from ..config import Config
from ..errors import BackendError
from ..events import (
    ALL,
    START,
    Entry,
    Position,
    channel_member,
    group_channels,
)
from ..events import user_channel as channel_of
from ..log import Backend, Unread
from .admission import Admission
from .carriers import Carriers
from .confirmations import Confirmations
from .connections import Connection, Limits, StreamedConnection
from .connections.head import encode_head, parse_head
from .connections.takeover import Handover, is_gunicorns_own
from .hub import Ended, Hub
from .negotiation import MIMETYPE, last_event_id, require_acceptable
from .refusal import STREAM_HEADERS, busy, busy_text
from .response import Opening, StreamResponse, response_class
from .resume import Resume

_log = logging.getLogger("flask_sse_push")
_streams_log = logging.getLogger("flask_sse_push.streams")

# A machine that stalls for a second must not cost clients their connection.
_SHORTEST_VANISHED_MS = 5_000
_NO_MAILBOX = "the mailbox cannot be read"
_NO_THREAD = "the server's remaining threads are reserved for other requests"


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
        self._confirmations = (
            Confirmations(backend.acknowledge_all)
            if config.acknowledge == "delivered" and config.mailbox_size
            else None
        )
        self.hub = Hub(config, self._tell_ended, self._confirmations)
        self.admission = Admission(config, self.hub, backend)
        self._config = config
        self._backend = backend
        limits = Limits(
            pending_bytes=config.max_pending_bytes,
            vanished_ms=min(
                max(int(2_000 * config.heartbeat_seconds), _SHORTEST_VANISHED_MS),
                2**31 - 1,
            ),
            confirms_mail=self._confirmations is not None,
        )
        self._carriers = Carriers(
            self.hub, limits, is_handing_off=config.handoff == "auto"
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
            return Response(mimetype=MIMETYPE, headers=STREAM_HEADERS)
        self._carriers.require_fit_server(request.environ)
        user_channel = None if user_id is None else channel_of(user_id)
        if not callable(groups):
            groups = group_channels(groups)
        if reason := self.admission.refusal(user_channel):
            return busy(reason)
        watch = self.hub.watch(user_channel)
        channels = group_channels(groups()) if callable(groups) else groups
        response = response_class(current_app.response_class)()  # type: ignore[arg-type]
        response.open = self.open
        response.opening = Opening(
            user_channel, channels, last_event_id(request), not_before, watch
        )
        return response

    def open(
        self,
        response: StreamResponse,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
    ) -> Iterable[bytes]:
        """Make the connection. Called when the server calls the response."""
        opening = response.opening
        # Checked again: other streams may have opened since respond() was called.
        if reason := self.admission.refusal(opening.user_channel):
            return busy(reason)(environ, start_response)
        found = self._carriers.find_socket(environ)
        if found is not None and not is_gunicorns_own(start_response):

            def finish(taken: _socket.socket, head: bytes) -> None:
                self._take(response, environ, taken, head)

            response.response = Handover(found, finish, response.close)
            return response.start(environ, start_response)
        try:
            resume, missed = self._prepare(opening)
        except BackendError:
            return busy(_NO_MAILBOX)(environ, start_response)
        body: Iterable[bytes] = ()
        try:
            if found is not None:
                connection = self._carriers.take_from_gunicorn(
                    *(opening.receivers, environ, start_response),
                    *(response.status, response.headers.to_wsgi_list(), found),
                )
            else:
                streamed = self._carriers.stream(opening.receivers, environ)
                if streamed is None:
                    self._backend.detach(opening.channels)
                    return busy(_NO_THREAD)(environ, start_response)
                connection = response.response = streamed
                try:
                    body = response.start(environ, start_response)
                except BaseException:
                    streamed.leave_thread()
                    raise
        except BaseException:
            self._backend.detach(opening.channels)
            raise
        self._join(connection, response, resume, missed)
        return body

    def _take(
        self,
        response: StreamResponse,
        environ: Mapping[str, Any],
        taken: _socket.socket,
        written: bytes,
    ) -> None:
        """Make a connection with a socket that was taken over from its server.

        :param written: what the server wrote: the head of the response.
        """
        opening = response.opening
        own = (response.status, response.headers.to_wsgi_list())
        head = encode_head(environ["SERVER_PROTOCOL"], *(parse_head(written) or own))
        # Checked a third time, because other streams may have opened since open().
        refusal = self.admission.refusal(opening.user_channel)
        if not refusal:
            try:
                resume, missed = self._prepare(opening)
            except BackendError:
                refusal = _NO_MAILBOX
        if refusal:
            with contextlib.suppress(OSError):
                taken.send(head + busy_text(refusal))
            taken.close()
            response.close()
            return
        try:
            connection = self._carriers.hand_off(
                opening.receivers, taken, head, environ
            )
        except BaseException:
            self._backend.detach(opening.channels)
            raise
        self._join(connection, response, resume, missed)

    def _join(
        self,
        connection: Connection,
        response: StreamResponse,
        resume: Resume,
        missed: Unread,
    ) -> None:
        """Register a connection with the hub, and report that it has opened."""
        if response.has_on_close:
            connection.call_on_close(response.close)
        try:
            self.hub.register(connection, resume, missed, response.opening.watch)
            self._on_opened(connection.user_id)
        except BaseException:
            # For example a timeout. The server has no body yet, so it closes nothing.
            connection.close("error")
            if isinstance(connection, StreamedConnection):
                connection.leave_thread()
            raise

    def _prepare(self, opening: Opening) -> tuple[Resume, Unread]:
        """The position at which the client resumes, and the events it has missed.

        :raises BackendError: the backend cannot be reached.
        """
        resume = self._read_resume(opening.last_event_id).not_before(opening.not_before)
        return resume, self._missed(opening, resume)

    def _read_resume(self, last_event_id: str | None) -> Resume:
        cursor = self._backend.parse_cursor(last_event_id) if last_event_id else None
        return Resume.read(
            last_event_id,
            cursor,
            now=self.hub.position,
            is_memory=self._config.is_memory,
        )

    def _missed(self, opening: Opening, resume: Resume) -> Unread:
        """The events that the client has missed and that the history may not hold.

        :raises BackendError: the backend cannot be reached.
        """
        cursor = None if resume.is_fresh else resume.cursor
        attached = self._backend.attach(opening.channels, cursor)
        retained = self._retained(opening, resume)
        unread = self._unread(opening, resume)
        return Unread((*attached, *retained, *unread.entries), unread.lost)

    def _retained(self, opening: Opening, resume: Resume) -> Sequence[Entry]:
        """The newest event of each ``retain`` key that the history may not hold."""
        channels = (ALL, *opening.channels)
        if resume.is_fresh:
            return self._backend.retained(channels)
        if resume.cursor < self.hub.history.floor(channels):
            return self._backend.retained(channels, resume.cursor)
        return ()

    def _unread(self, opening: Opening, resume: Resume) -> Unread:
        user_channel = opening.user_channel
        if user_channel is None or not self._config.mailbox_size:
            return Unread()
        confirmations = self._confirmations
        if resume.is_fresh:
            known = confirmations and confirmations.up_to(user_channel)
            after = known or START
        else:
            after = resume.cursor
            # If the ticket has expired, the cursor proves no delivery: it was moved to
            # the time of the ticket, or somebody has invented it.
            if confirmations is not None and opening.not_before == START:
                # A cursor that is ahead of this process may be invented, too.
                confirmations.confirm(user_channel, min(after, self.hub.position))
            if after >= self.hub.history.floor((user_channel,)):
                return Unread()
        return self._backend.unread(channel_member(user_channel), after)

    def stop(self) -> None:
        """Close every stream, and tell the backend which events were delivered.

        If the backend cannot be reached, these events are delivered again.
        """
        self.hub.shut_down()
        if self._confirmations is not None:
            with contextlib.suppress(BackendError):
                self._confirmations.flush()

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
