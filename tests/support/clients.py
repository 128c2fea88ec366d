"""Clients for tests that read streams from a socket."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from tests.support.servers import Server

_BLOCK = re.compile(
    rb"(?:id: (?P<id>[^\n]*)\n)?event: (?P<name>[^\n]*)\ndata: (?P<data>[^\n]*)\n\n"
)
_ID = re.compile(rb"^id: ([^\n]*)\n", re.MULTILINE)


class Connection(http.client.HTTPConnection):
    """An HTTP connection, also to a Unix socket."""

    def __init__(self, server: Server, timeout: float = 10.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._address = server.address

    def connect(self) -> None:
        if isinstance(self._address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._address)
        else:
            self.sock = socket.create_connection(self._address, self.timeout)
            # http.client sends head and body apart; Nagle's algorithm would add 40 ms.
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def call(
    server: Server,
    method: str,
    path: str,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any, http.client.HTTPMessage]:
    """One request; returns status, decoded JSON (or text), headers."""
    connection = Connection(server)
    try:
        text = None if body is None else json.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, text, {**kind, **(headers or {})})
        response = connection.getresponse()
        content = response.read().decode()
        try:
            return response.status, json.loads(content), response.headers
        except ValueError:
            return response.status, content, response.headers
    finally:
        connection.close()


class Stream:
    """An open stream. ``last_id`` is the id that a browser would reconnect with.

    ``events`` has every event except ``sse-push-open``.
    """

    def __init__(
        self,
        server: Server,
        path: str = "/sse/stream",
        *,
        last_id: str | None = None,
        timeout: float = 10.0,
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> None:
        self._connection = Connection(server, timeout)
        if query:
            path += "?" + urlencode(query)
        sent = {"Accept": "text/event-stream", **(headers or {})}
        if last_id is not None:
            sent["Last-Event-ID"] = last_id
        try:
            self._connection.request("GET", path, headers=sent)
            self.sock = self._connection.sock
            self.response = self._connection.getresponse()
        except Exception:
            self._connection.close()
            raise
        self.last_id = last_id
        self.raw = b""
        self._rest = b""
        self.events: list[tuple[str, str | None, Any]] = []

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.response.close()
        self._connection.close()

    def pump(self) -> bool:
        """Read once, keep complete events; return whether the stream is open."""
        chunk = self.response.read1(65536)
        self.raw += chunk
        self._rest += chunk
        end = self._rest.rfind(b"\n\n") + 2
        if end > 1:
            whole, self._rest = self._rest[:end], self._rest[end:]
            for match in _BLOCK.finditer(whole):
                if match["name"] == b"sse-push-open":
                    continue
                id = match["id"].decode() if match["id"] is not None else None
                self.events.append(
                    (match["name"].decode(), id, json.loads(match["data"]))
                )
            if ids := _ID.findall(whole):
                self.last_id = ids[-1].decode()
        return bool(chunk)

    def read_until(
        self, done: Callable[[Stream], bool], seconds: float = 10.0
    ) -> Stream:
        """Read until ``done`` holds or the stream ends; fail after a timeout."""
        end = time.monotonic() + seconds
        while not done(self):
            assert time.monotonic() < end, (
                f"timed out after {self.events[-5:]} {self.raw[-500:]!r}"
            )
            if not self.pump():
                break
        return self

    def read_events(
        self, count: int, seconds: float = 10.0
    ) -> list[tuple[str, str | None, Any]]:
        """Read until this many events have arrived, and return all."""
        return self.read_until(lambda s: len(s.events) >= count, seconds).events

    def read_opening(self) -> Stream:
        """Read until the cursor has arrived: events sent from now on will arrive."""
        return self.read_until(lambda s: b"event: sse-push-open\n" in s.raw)


def bodies(response: Any, count: int) -> list[dict[str, Any]]:
    """Open a stream, return the data of its first events, and close it.

    ``sse-push-open`` does not count.
    """
    found: list[dict[str, Any]] = []
    for chunk in response.response:
        found += [
            json.loads(match["data"])
            for match in _BLOCK.finditer(chunk)
            if match["name"] != b"sse-push-open"
        ]
        if len(found) >= count:
            break
    response.close()
    return found


def eventually(check: Callable[[], object], seconds: float = 8.0) -> None:
    """Wait until ``check`` holds; fail after a timeout."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.005)
