"""Answering a request with a stream."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flask import Response, current_app, request
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import http_date

from ..application.engine import Worker
from ..application.state import State
from ..errors import BackendError, ConfigError
from ..events import START, Entry, encode_comment, encode_retry, group_channels
from ..events import user_channel as channel_of
from ..runtime.concurrency import is_cooperative
from .connections import (
    Connection,
    HandedOffConnection,
    StreamedConnection,
    can_hand_off,
    tell_server,
)
from .hub import Resume

MIMETYPE = "text/event-stream"
# EventSource gives up for ever on any status but 200, and on an error while it opens.
# So a client that cannot be served now gets a stream that ends, and this long to wait.
_BUSY_RETRY_MS = 5_000
# Longest wait, in seconds, for a worker that has just started to have read the log.
_READY_SECONDS = 5.0

_HEADERS = {
    # no-transform: proxies that compress hold events back.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}
# Fields that say how the answer is framed and where it goes (RFC 9110, 7.6.1): a stream
# ends with its connection.
_OURS = frozenset(
    (
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


def open_stream(
    state: State, user_id: object = None, groups: Iterable[str] = ()
) -> Response:
    """Answer the current request with a stream.

    The user has been authenticated. Nothing of the request is kept.

    :param user_id: whose events it gets; ``None`` for broadcasts only.
    :param groups: names of the groups it joins.
    :raises NotAcceptable: the client takes no event stream (406).
    :raises EventError: the user id or a group's name is none.
    :raises ConfigError: the server cannot serve streams as it was started.
    """
    environ = request.environ
    if not _is_acceptable(environ.get("HTTP_ACCEPT")):
        raise NotAcceptable(f"This resource is a stream of type {MIMETYPE}.")
    if environ["REQUEST_METHOD"] == "HEAD":
        # A server never starts the body of an answer to HEAD, nor would it end.
        return Response(mimetype=MIMETYPE, headers=_HEADERS)
    _refuse_unfit(environ)
    user_channel = None if user_id is None else channel_of(user_id)
    channels = group_channels(groups)
    worker = state.worker
    if reason := _refusal(worker, user_channel):
        return _busy(reason)
    last_event_id = environ.get("HTTP_LAST_EVENT_ID") or request.args.get("lastEventId")
    resume = worker.hub.resume_from(last_event_id)
    try:
        unread = _unread(worker, user_channel, resume)
    except BackendError:
        return _busy("the mailbox cannot be read")
    response = _response_class(current_app.response_class)()  # type: ignore[arg-type]
    response.opening = _Opening(worker, user_channel, channels, resume, unread)
    return response


@dataclass(frozen=True, slots=True)
class _Opening:
    """What is needed to open a stream when the server calls the response."""

    worker: Worker
    user_channel: str | None
    groups: tuple[str, ...]
    resume: Resume
    unread: Sequence[Entry]


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
        self._has_on_close = False

    def call_on_close(self, func: Callable[[], Any]) -> Callable[[], Any]:
        self._has_on_close = True
        return super().call_on_close(func)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        opening = self.opening
        worker = opening.worker
        # Once more: many may have been on their way here.
        if reason := _refusal(worker, opening.user_channel):
            return _busy(reason)(environ, start_response)
        placement = (worker.hub, worker.limits, opening.user_channel, opening.groups)
        connection: Connection
        if worker.config.handoff == "auto" and can_hand_off(environ, start_response):
            headers = self.headers.to_wsgi_list()
            head = _encode_head(environ["SERVER_PROTOCOL"], self.status, headers)
            # First, because the server refuses headers that it cannot send.
            tell_server(start_response, self.status, headers)
            connection = HandedOffConnection(*placement, environ)
            body: Iterable[bytes] = ()
        else:
            head = b""
            connection = self.response = StreamedConnection(*placement)
            body = super().__call__(environ, start_response)
        if self._has_on_close:
            connection.call_on_close(self.close)
        try:
            worker.hub.register(connection, opening.resume, head, opening.unread)
            worker.stream_opened(connection.user_id)
        except BaseException:
            # A time limit, say: with no body returned, nobody else would close it.
            connection.close("error")
            raise
        return body


@lru_cache(maxsize=16)
def _response_class(base: type[Response]) -> type[StreamResponse]:
    """The class for an application whose responses are of another class than Flask's.

    Flask turns a response of any other class into its own, which cannot stream.
    """
    if issubclass(StreamResponse, base):
        return StreamResponse
    return type("StreamResponse", (StreamResponse, base), {})


def _is_acceptable(accept: str | None) -> bool:
    if not accept or MIMETYPE in accept or accept == "*/*":
        return True
    return bool(request.accept_mimetypes[MIMETYPE])


def _refuse_unfit(environ: Mapping[str, Any]) -> None:
    server = type(environ.get("wsgi.input")).__module__
    if server.startswith("gevent.") and not is_cooperative():
        raise ConfigError(
            "This server runs on gevent, but the process is not patched: one stream "
            "would stop all others. Start your program with 'from gevent import "
            "monkey; monkey.patch_all()', before every other import."
        )
    if "gunicorn.socket" in environ and not environ.get("wsgi.multithread"):
        raise ConfigError(
            "A worker of gunicorn's sync kind serves one request at a time: one stream "
            "would hold it for good. Start gunicorn with '-k gevent', or with "
            "'-k gthread --threads N'."
        )


def _refusal(worker: Worker, user_channel: str | None) -> str | None:
    """Why a stream cannot be opened now, or ``None``."""
    hub, config = worker.hub, worker.config
    if hub.is_shut_down:
        return "this worker is shutting down"
    if hub.client_count() >= worker.max_connections:
        return "this worker has as many connections as it may"
    most = config.max_connections_per_user
    if most and user_channel and hub.user_connection_count(user_channel) >= most:
        return "this user has as many connections as one may"
    if not worker.backend.wait_ready(_READY_SECONDS):
        return "the log cannot be read"
    return None


def _busy(reason: str) -> Response:
    """A stream that ends at once and asks the client to come again later."""
    retry = int(_BUSY_RETRY_MS * random.uniform(0.5, 1.5))
    body = encode_retry(retry) + encode_comment(reason)
    return Response(body, mimetype=MIMETYPE, headers=_HEADERS)


def _unread(
    worker: Worker, user_channel: str | None, resume: Resume
) -> Sequence[Entry]:
    """What the mailbox holds that history cannot give the client."""
    if user_channel is None or not worker.config.mailbox_size:
        return ()
    if resume.is_fresh:
        after = START
    elif resume.cursor < worker.hub.history.floor((user_channel,)):
        after = resume.cursor
    else:
        return ()
    return worker.backend.unread(user_channel.removeprefix("user:"), after)


def _encode_head(protocol: str, status: str, headers: list[tuple[str, str]]) -> bytes:
    fields = "".join(
        [f"{name}: {value}\r\n" for name, value in headers if name.lower() not in _OURS]
    )
    date = _date(int(time.time()))
    head = f"{protocol} {status}\r\nDate: {date}\r\nConnection: close\r\n{fields}\r\n"
    return head.encode("latin-1")


@lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    return http_date(seconds)
