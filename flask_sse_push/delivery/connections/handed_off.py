"""The carrier under ``gunicorn -k gevent``: the socket itself, taken from the server.

Nothing of the request stays behind: no greenlet, no environ, no context. A connection
is one small object, a raw socket and a watcher that notices a client that leaves.
"""

from __future__ import annotations

import _socket
import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gevent
import gevent.socket

from ...events import Entry
from ...runtime.concurrency import is_cooperative
from .base import CHUNK_BYTES, Connection, Hub, Limits, Pending

_READ, _WRITE = 1, 2
# Bytes the kernel may hold for one client. Without it a client that stopped reading
# kept 3.9 MB there; with it, 262 kB.
_SEND_BUFFER = 64 * 1024
_TCP = (socket.AF_INET, socket.AF_INET6)
_TCP_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)


def can_hand_off(
    environ: Mapping[str, Any], start_response: Callable[..., Any]
) -> bool:
    """Whether the server's socket can be taken over for this request.

    It can under gunicorn's gevent worker with HTTP/1.x and no TLS, when nothing stands
    between the application and the server: gunicorn's own response object must be
    there to be told that the answer has been written.
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


def tell_server(
    start_response: Callable[..., Any], status: str, headers: list[tuple[str, str]]
) -> None:
    """Tell gunicorn that the answer is written and the socket no longer its own.

    It logs the access, runs its hooks and goes on, as after any answer.
    """
    start_response(status, headers)
    response = start_response.__self__  # type: ignore[attr-defined]
    response.headers_sent = True
    response.chunked = False
    response.force_close()


class HandedOffConnection(Connection):
    """A client's socket, written to without waiting.

    :param environ: the request's, which :func:`can_hand_off` has approved.
    """

    __slots__ = ("_reader", "_socket", "_writer")

    def __init__(
        self,
        hub: Hub,
        limits: Limits,
        user_channel: str | None,
        groups: tuple[str, ...],
        environ: Mapping[str, Any],
    ) -> None:
        super().__init__(hub, limits, user_channel, groups)
        served = environ["gunicorn.socket"]
        family, kind, proto = served.family, served.type, served.proto
        # The server's own detach() ends its watchers as well. A dup() of the number
        # would leave libev's registration of it behind.
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
        self._writer: Any = None  # only while something waits

    def begin(self, opening: bytes, replay: Sequence[Entry]) -> None:
        self._reader.start(self._on_readable)
        if self.bytes <= CHUNK_BYTES:
            frame = b"".join([opening, *[entry.frame for entry in replay]])
            try:
                sent = self._socket.send(frame)
            except OSError:
                sent = 0
            if sent < self.bytes:
                self._keep_waiting(self.bytes).put_back(frame[sent:])
        else:
            pending = self._keep_waiting(self.bytes)
            pending.add(opening)
            pending.add_entries(replay)

    def write(self, frame: bytes, entries: Sequence[Entry]) -> None:
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
            pending = self._keep_waiting(0)
            if sent:
                pending.put_back(frame[sent:])
            else:
                pending.append(frame, entries)
        else:
            pending.append(frame, entries)
        if pending.overflows:
            self.close("overflow")

    def _keep_waiting(self, allowance: int) -> Pending:
        """Keep what the socket does not take now, until it does."""
        pending = self._pending = Pending(self._limits.pending_bytes + allowance)
        self._writer = gevent.get_hub().loop.io(self._socket.fileno(), _WRITE)
        self._writer.start(self._on_writable)
        return pending

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
        # A client has nothing to say on a stream; what it says is dropped.
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
        # A child that was forked meanwhile has the descriptor too: close() alone would
        # not end the connection.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    @staticmethod
    def _end_watcher(watcher: Any) -> None:
        watcher.stop()
        watcher.close()
