"""A proxy between a client and a server, which cuts connections when a test says so."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

from tests.support.servers import Server

_STEP_SECONDS = 20.0


class Relay:
    """Passes bytes on, unchanged, between its own port and a server.

    :meth:`cut` ends every connection; connections that come after it wait until
    :meth:`resume` is called.
    """

    def __init__(self, server: Server) -> None:
        assert isinstance(server.address, tuple)
        self._target = server.address
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        #: All bytes that the server has sent and that were passed on.
        self.received = b""
        self._lock = threading.Lock()
        self._is_open = threading.Event()
        self._is_open.set()
        self._servers: list[socket.socket] = []
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, after what the server has sent; let no other through.

        The client gets an orderly end (TCP's FIN) after the last byte.
        """
        self._is_open.clear()
        with self._lock:
            servers, self._servers = self._servers, []
        for upstream in servers:
            with contextlib.suppress(OSError):
                upstream.shutdown(socket.SHUT_RDWR)

    def resume(self) -> None:
        """Let connections through again, also those that have waited."""
        self._is_open.set()

    def close(self) -> None:
        """End every connection and the proxy."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self.resume()
        with self._lock:
            for client in self._sockets:
                client.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._sockets.append(client)
        self._is_open.wait(_STEP_SECONDS)
        with contextlib.suppress(OSError), client:
            upstream = socket.create_connection(self._target, _STEP_SECONDS)
            upstream.settimeout(None)
            with upstream:
                with self._lock:
                    self._servers.append(upstream)
                threading.Thread(
                    target=_pass_on, args=(client, upstream), daemon=True
                ).start()
                while chunk := upstream.recv(65536):
                    client.sendall(chunk)
                    with self._lock:
                        self.received += chunk
                client.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _pass_on(source: socket.socket, to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            to.sendall(chunk)
        to.shutdown(socket.SHUT_WR)
