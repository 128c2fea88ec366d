"""Connections under ``gunicorn -k gevent``: the socket is taken over from the server.

Nothing of the request stays in memory: no greenlet, environ or context. A connection is
one small object, a raw socket and a watcher that notices when the client leaves.
"""

from __future__ import annotations

import _socket
import contextlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import gevent
import gevent.socket
from werkzeug.http import http_date

from ...events import Channel, Entry, Position
from ...runtime.concurrency import is_cooperative
from .base import Connection, Limits, Owner
from .pending import Pending

_READ, _WRITE = 1, 2
# The size of the kernel's send buffer, in bytes. With the default, a client that had
# stopped reading occupied 3.9 MB of kernel memory; with this size, 262 kB.
_SEND_BUFFER = 64 * 1024
_TCP = (socket.AF_INET, socket.AF_INET6)
_TCP_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
# Headers about framing and the connection (RFC 9110, section 7.6.1). A handed-off
# stream replaces them: it ends when its connection closes.
_FRAMING = frozenset(
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


def can_hand_off(
    environ: Mapping[str, Any], start_response: Callable[..., Any]
) -> bool:
    """Whether the server's socket can be taken over for this request.

    This works under gunicorn's gevent worker with HTTP/1.x and without TLS, if no
    middleware wraps ``start_response``: gunicorn's own response object is needed, to
    mark the answer as written.
    """
    response = getattr(start_response, "__self__", None)
    return (
        type(environ.get("gunicorn.socket")) is gevent.socket.socket
        and environ.get("SERVER_PROTOCOL") in ("HTTP/1.1", "HTTP/1.0")
        and hasattr(response, "headers_sent")
        and hasattr(response, "chunked")
        and hasattr(response, "force_close")
        and is_cooperative()
    )


class HandedOffConnection(Connection):
    """A connection that owns the client's socket and writes to it without waiting.

    The constructor writes nothing, but it marks the answer as written and takes the
    socket away from gunicorn, which then writes its access log, runs its hooks and
    goes on, as after any other answer.

    :param environ: the request's environment, which :func:`can_hand_off` has accepted.
    :param start_response: gunicorn's own ``start_response``.
    :param status: the status line, such as ``"200 OK"``.
    :param headers: the response's headers; those about framing are replaced.
    """

    __slots__ = ("_head", "_reader", "_socket", "_writer")

    def __init__(
        self,
        owner: Owner,
        limits: Limits,
        user_channel: Channel | None,
        groups: tuple[Channel, ...],
        environ: Mapping[str, Any],
        start_response: Callable[..., Any],
        status: str,
        headers: list[tuple[str, str]],
    ) -> None:
        super().__init__(owner, limits, user_channel, groups)
        self._head = _encode_head(environ["SERVER_PROTOCOL"], status, headers)
        # This comes first, because gunicorn raises on headers that it cannot send.
        _tell_server(start_response, status, headers)
        served = environ["gunicorn.socket"]
        family, kind, proto = served.family, served.type, served.proto
        # gevent's detach() also stops its watchers. After a dup() of the descriptor,
        # libev would still have the original one registered.
        descriptor = served.detach()
        self._socket = _socket.socket(family, kind, proto, fileno=descriptor)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        if family in _TCP:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _TCP_USER_TIMEOUT is not None:
                self._socket.setsockopt(
                    socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, limits.vanished_ms
                )
        self._reader: Any = gevent.get_hub().loop.io(descriptor, _READ)
        self._writer: Any = None  # set only while bytes wait

    def load(
        self, opening: bytes, replay: Sequence[Entry], end: bytes, cursor: Position
    ) -> None:
        head, self._head = self._head, b""
        super().load(head + opening, replay, end, cursor)

    def begin(self) -> None:
        self._reader.start(self._on_readable)
        pending = self._pending
        if pending is None:
            return
        chunk = pending.take()
        try:
            sent = self._socket.send(chunk)
        except OSError:
            # If the client is gone, the watcher notices.
            sent = 0
        if sent < len(chunk):
            pending.put_back(chunk[sent:])
        if pending:
            self._watch_writable()
        else:
            self._pending = None

    def _write(self, frame: bytes, entries: Sequence[Entry]) -> None:
        pending = self._pending
        if pending is None:
            try:
                sent = self._socket.send(frame)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close("gone")
                return
            if sent == len(frame):
                return
            pending = self._pending = Pending(self._limits.pending_bytes)
            self._watch_writable()
            if sent:
                pending.put_back(frame[sent:])
            else:
                pending.append(frame, entries)
        else:
            pending.append(frame, entries)
        if pending.overflows:
            self.close("overflow")

    def _watch_writable(self) -> None:
        self._writer = gevent.get_hub().loop.io(self._socket.fileno(), _WRITE)
        self._writer.start(self._on_writable)

    def _on_writable(self) -> None:
        pending = self._pending
        if pending:
            chunk = pending.take()
            try:
                sent = self._socket.send(chunk)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close("gone")
                return
            if sent < len(chunk):
                pending.put_back(chunk[sent:])
        if not pending:
            self._pending = None
            self._end_watcher(self._writer)
            self._writer = None

    def _on_readable(self) -> None:
        # Clients send nothing on a stream; whatever arrives is dropped.
        try:
            if self._socket.recv(4096):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.close("gone")

    def _release(self) -> None:
        self._end_watcher(self._reader)
        if self._writer is not None:
            self._end_watcher(self._writer)
        # A forked child process may hold the descriptor too. Then close() alone would
        # not close the connection.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    @staticmethod
    def _end_watcher(watcher: Any) -> None:
        watcher.stop()
        watcher.close()


def _tell_server(
    start_response: Callable[..., Any], status: str, headers: list[tuple[str, str]]
) -> None:
    start_response(status, headers)
    response = start_response.__self__  # type: ignore[attr-defined]
    response.headers_sent = True
    response.chunked = False
    response.force_close()


def _encode_head(protocol: str, status: str, headers: list[tuple[str, str]]) -> bytes:
    fields = "".join(
        [
            f"{name}: {value}\r\n"
            for name, value in headers
            if name.lower() not in _FRAMING
        ]
    )
    date = _date(int(time.time()))
    head = f"{protocol} {status}\r\nDate: {date}\r\nConnection: close\r\n{fields}\r\n"
    return head.encode("latin-1")


@lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    return http_date(seconds)
