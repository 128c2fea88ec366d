"""A keep-alive HTTP connection of the load client; it counts unanswered requests."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable

from benchmarks.wire import ProtocolError, parse_head

Reply = Callable[[int], None]


def request_bytes(
    method: str, path: str, body: str = "", headers: dict[str, str] | None = None
) -> bytes:
    """One HTTP/1.1 request, ready to send."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class RequestConnection:
    """Sends requests without waiting for the answers (HTTP/1.1 pipelining).

    :param port: the server's, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiting: deque[Reply | None] = deque()
        self._rest = b""

    @property
    def outstanding(self) -> int:
        """Requests without an answer so far."""
        return len(self._waiting)

    def send(self, request: bytes, on_reply: Reply | None = None) -> None:
        """Send one request; ``on_reply`` gets the monotonic time of its answer."""
        self._waiting.append(on_reply)
        self.socket.sendall(request)

    def receive(self) -> None:
        """Take the answers that have arrived.

        :raises ProtocolError: the server closed the connection or refused a request.
        """
        data = self.socket.recv(65536)
        now = time.monotonic_ns()
        if not data:
            raise ProtocolError(f"connection ended, {self.outstanding} unanswered")
        self._rest += data
        while head := parse_head(self._rest):
            if not 200 <= head.status < 300:
                raise ProtocolError(f"refused: {self._rest[:300]!r}")
            end = head.size + (head.length or 0)
            if head.chunked or end > len(self._rest):
                if head.chunked:
                    raise ProtocolError("a chunked answer to a request")
                return
            self._rest = self._rest[end:]
            if on_reply := self._waiting.popleft():
                on_reply(now)

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()
