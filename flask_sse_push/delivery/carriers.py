"""Chooses how a stream reaches its client: handed off, or streamed by the server."""

from __future__ import annotations

import _socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .connections import (
    Connection,
    Limits,
    Owner,
    Receivers,
    StreamedConnection,
    handed_off_class,
)
from .connections.head import encode_head
from .connections.takeover import (
    client_end,
    find_socket,
    is_direct,
    take,
    tell_gunicorn,
)
from .servers import require_fit_server, thread_count
from .threads import Threads


class Carriers:
    """Makes the connections of one application in one process.

    :param is_handing_off: whether to take sockets over where that is possible.
    """

    def __init__(self, owner: Owner, limits: Limits, *, is_handing_off: bool) -> None:
        self._owner = owner
        self._limits = limits
        self._direct_limits = replace(limits, is_direct=True)
        self._is_handing_off = is_handing_off
        self._threads = Threads()

    def find_socket(self, environ: Mapping[str, Any]) -> Any | None:
        """The client's socket if it should be taken over, else ``None``."""
        return find_socket(environ) if self._is_handing_off else None

    def require_fit_server(self, environ: Mapping[str, Any]) -> None:
        """Check that the server was started in a way that can serve streams.

        :raises ConfigError: it cannot; the message says how to start the server.
        """
        is_handed_off = self.find_socket(environ) is not None
        require_fit_server(environ, is_handed_off=is_handed_off)

    def take_from_gunicorn(
        self,
        receivers: Receivers,
        environ: Mapping[str, Any],
        start_response: Callable[..., Any],
        status: str,
        headers: list[tuple[str, str]],
        found: Any,
    ) -> Connection:
        """Take the socket over from gunicorn, and mark gunicorn's response as written.

        :param found: the result of :meth:`find_socket`.
        """
        head = encode_head(environ["SERVER_PROTOCOL"], status, headers)
        # This comes first, because gunicorn raises on headers that it cannot send.
        tell_gunicorn(start_response, status, headers)
        return self.hand_off(receivers, take(found), head, environ)

    def hand_off(
        self,
        receivers: Receivers,
        taken: _socket.socket,
        head: bytes,
        environ: Mapping[str, Any],
    ) -> Connection:
        """Make a connection that owns a socket.

        :param head: the head of the response, up to and including the empty line.
        """
        limits = self._direct_limits if is_direct(environ) else self._limits
        return handed_off_class()(self._owner, limits, *receivers, taken, head)

    def stream(
        self, receivers: Receivers, environ: Mapping[str, Any]
    ) -> StreamedConnection | None:
        """Make a connection that occupies one of the server's threads.

        If the server does not start to send it, call its ``leave_thread``.

        :returns: ``None`` if all other threads are reserved for other requests.
        """
        threads = thread_count(environ)
        connection = StreamedConnection(
            *(self._owner, self._limits, *receivers),
            client_end(environ),
            probes=threads is not None,
            on_left=self._threads.leave,
        )
        return connection if self._threads.take(connection, threads) else None
