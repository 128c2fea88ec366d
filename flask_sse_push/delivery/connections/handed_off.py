"""Connections that own the client's socket, which was taken over from the server.

Nothing of the request stays in memory: no greenlet, thread, environ or context. A
connection is one small object, a raw socket and a watcher that notices when the client
disconnects.
"""

from __future__ import annotations

import _socket
import array
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Sequence

from ...events import Channel, Entry
from ...runtime.eventloop import READ, WRITE, Watcher, event_loop
from .base import Connection, Limits, Owner
from .delivered import CLOSING_SECONDS, DIRECT_CLOSING_SECONDS
from .pending import Pending
from .states import ClientEnd

# The size of the kernel's send buffer, in bytes. With the default, a client that had
# stopped reading occupied 3.9 MB of kernel memory; with this size, 262 kB.
_SEND_BUFFER = 64 * 1024
_TCP = (socket.AF_INET, socket.AF_INET6)
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
# The field tcpi_rtt of Linux' struct tcp_info, in microseconds.
_RTT = struct.Struct("68xI")
_TCP_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)


class HandedOffConnection(Connection):
    """A connection that owns the client's socket and writes to it without waiting.

    The constructor writes nothing.

    :param taken: the client's socket, which the connection owns from now on.
    :param head: the head of the response, up to and including the empty line.
    """

    __slots__ = ("_head", "_reader", "_socket", "_writer")

    carrier = "handed-off"

    def __init__(
        self,
        owner: Owner,
        limits: Limits,
        user_channel: Channel | None,
        groups: tuple[Channel, ...],
        taken: _socket.socket,
        head: bytes,
    ) -> None:
        super().__init__(owner, limits, user_channel, groups)
        self._head = head
        self._socket = taken
        taken.setblocking(False)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        if taken.family in _TCP:
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _TCP_USER_TIMEOUT is not None:
                taken.setsockopt(
                    socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, limits.vanished_ms
                )
        self._reader: Watcher = event_loop().io(taken.fileno(), READ)
        self._writer: Watcher | None = None  # set only while bytes wait

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head

    def begin(self) -> None:
        self._reader.start(self._on_readable)
        pending = self._pending
        if pending is None:
            return
        chunk = pending.take()
        try:
            sent = self._socket.send(chunk)
        except OSError:
            # If the client has disconnected, the watcher notices it.
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
        self._writer = event_loop().io(self._socket.fileno(), WRITE)
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
            if self._writer is not None:
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
            self.close("gone")
        else:
            self.close("gone", ClientEnd.CLOSED)

    def _closing_seconds(self) -> float:
        if not self._limits.is_direct:
            return CLOSING_SECONDS
        return DIRECT_CLOSING_SECONDS + _round_trip_seconds(self._socket)

    def _acknowledged(self) -> int:
        pending = self._pending
        waiting = pending.unwritten if pending is not None else 0
        try:
            return self.bytes - waiting - _unacknowledged(self._socket)
        except (OSError, ValueError):
            # Another thread has closed the socket.
            return 0

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
    def _end_watcher(watcher: Watcher) -> None:
        watcher.stop()
        watcher.close()


def _round_trip_seconds(connected: _socket.socket) -> float:
    """The smoothed round-trip time of TCP, in seconds; 0 on a Unix socket."""
    if _TCP_INFO is None or connected.family not in _TCP:
        return 0.0
    try:
        info = connected.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _RTT.size)
    except OSError:
        # Another thread has closed the socket.
        return 0.0
    (microseconds,) = _RTT.unpack(info)
    return float(microseconds) / 1e6


def _unacknowledged(connected: _socket.socket) -> int:
    """Bytes in the kernel that the peer has not acknowledged (Linux, ``SIOCOUTQ``).

    On a Unix socket: the kernel memory of the bytes that the peer has not read.
    """
    answer = array.array("i", [0])
    fcntl.ioctl(connected, termios.TIOCOUTQ, answer)
    return answer[0]
