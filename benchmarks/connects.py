"""The cost of a connect: bare views and streams, with and without a login."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import statistics
from dataclasses import dataclass, field

from benchmarks.figures import ConnectFigures, Effort
from benchmarks.load import LoadClient, Tally
from benchmarks.process import wait_for_quiet_core
from benchmarks.requests import request_bytes
from benchmarks.servers import Server
from benchmarks.wire import ProtocolError, marked_body

RESUMED_EVENTS = 10
_USERS = 100
_WARM = 50
_ID = re.compile(rb"^id: ?(\S+)$", re.MULTILINE)


@dataclass
class _Rounds:
    samples: list[float] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


def bare(server: Server, effort: Effort) -> ConnectFigures:
    """A view that answers "ok", one request per connection."""
    request = request_bytes("GET", "/ping", headers={"Connection": "close"})
    rounds = _measure(server, effort, [request], ends=True)
    return _figures("bare view, Connection: close", effort, rounds)


def session(server: Server, effort: Effort) -> ConnectFigures:
    """A view that reads the signed session cookie, one request per connection."""
    requests = [
        _as_user("/whoami", cookie, {"Connection": "close"})
        for cookie in _log_in_all(server).values()
    ]
    rounds = _measure(server, effort, requests, ends=True)
    return _figures("bare view with a session cookie", effort, rounds)


def fresh(server: Server, effort: Effort) -> ConnectFigures:
    """A stream without login and without a cursor."""
    requests = [server.stream_request(f"c{number}") for number in range(_USERS)]
    return _figures("stream", effort, _measure(server, effort, requests))


def resuming(server: Server, effort: Effort) -> ConnectFigures:
    """A stream of a logged-in user that resumes after ``RESUMED_EVENTS`` events."""
    cookies = _log_in_all(server)
    with contextlib.closing(_connect(server)) as web:
        cursor = _cursor(server, web)
        for number in range(1, RESUMED_EVENTS + 1):
            for user in cookies:
                _post(web, f"/send/{user}", marked_body(number, 0))
    requests = [
        _as_user("/sse/stream", cookie, {"Last-Event-ID": cursor})
        for cookie in cookies.values()
    ]
    rounds = _measure(server, effort, requests, events=RESUMED_EVENTS)
    title = f"stream, logged in, resuming {RESUMED_EVENTS} events"
    return _figures(title, effort, rounds)


def _measure(
    server: Server,
    effort: Effort,
    requests: list[bytes],
    *,
    events: int = 0,
    ends: bool = False,
) -> _Rounds:
    # Each request is for one user, in turn.
    process = server.running
    rounds = _Rounds()
    for number in range(effort.connect_rounds + 1):
        count = effort.connects if number else _WARM
        client = LoadClient(server.port)
        client.ends_expected = ends
        client.tally.expected = count * events
        wait_for_quiet_core(seconds=effort.quiet_seconds)
        try:
            before = process.settled_cpu_ns()
            client.open([requests[place % len(requests)] for place in range(count)])
            client.run(
                lambda client=client, count=count: (  # type: ignore[misc]
                    client.complete and (not ends or client.ended == count)
                ),
                seconds=30,
            )
            used = process.settled_cpu_ns() - before
        finally:
            client.shut()
        process.settled_cpu_ns()
        if number:
            rounds.samples.append(used / count / 1000)
            for name, value in vars(client.tally).items():
                setattr(rounds.tally, name, getattr(rounds.tally, name) + value)
    return rounds


def _figures(title: str, effort: Effort, rounds: _Rounds) -> ConnectFigures:
    middle = statistics.median(rounds.samples)
    return ConnectFigures(title, effort.connects, middle, rounds.samples, rounds.tally)


def _connect(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)


def _post(web: http.client.HTTPConnection, path: str, body: str = "") -> str:
    web.request("POST", path, body)
    response = web.getresponse()
    response.read()
    if response.status != 204:
        raise ProtocolError(f"POST {path}: {response.status}")
    return response.getheader("Set-Cookie", "")


def _log_in(web: http.client.HTTPConnection, user: str) -> str:
    return _post(web, f"/login/{user}").partition(";")[0]


def _log_in_all(server: Server) -> dict[str, str]:
    """The users with their cookies."""
    with contextlib.closing(_connect(server)) as web:
        users = [f"c{number}" for number in range(_USERS)]
        return {user: _log_in(web, user) for user in users}


def _as_user(path: str, cookie: str, headers: dict[str, str]) -> bytes:
    return request_bytes("GET", path, headers={"Cookie": cookie, **headers})


def _cursor(server: Server, web: http.client.HTTPConnection) -> str:
    """Send an event, and return the id that a client of the stream receives."""
    request = _as_user("/sse/stream", _log_in(web, "first"), {})
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(request)
        data = sock.recv(65536)
        _post(web, "/send/first", marked_body(1, 0))
        while not (data.endswith(b"\n\n") and b"@1:0@" in data):
            received = sock.recv(65536)
            if not received:
                raise ProtocolError(f"the stream ended: {data[-300:]!r}")
            data += received
    ids: list[bytes] = _ID.findall(data)
    return ids[-1].decode()
