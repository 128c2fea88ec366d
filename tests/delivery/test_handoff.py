"""Handed-off connections: real sockets, taken over from real servers."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.clients import Connection, Stream, call, eventually
from tests.support.servers import Server, serve

pytestmark = pytest.mark.server

PENDING = 100_000


@pytest.fixture(
    scope="module",
    params=[
        "gunicorn-gevent",
        "gunicorn-gevent-unix",
        "gunicorn-gevent-wrapped",
        "gunicorn-gthread",
    ],
)
def shared(request: pytest.FixtureRequest) -> Iterator[Server]:
    environ = {
        "SSE_PUSH_HEARTBEAT_SECONDS": "30",
        "SSE_PUSH_MAX_PENDING_BYTES": str(PENDING),
        "SSE_PUSH_HISTORY_SIZE": "5000",
    }
    with serve(
        request.param,
        environ=environ,
        arguments=("--access-logfile", "-", "--worker-connections", "5"),
    ) as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Server:
    """The shared server, when the streams of the previous test have ended."""
    eventually(lambda: users(shared) == [])
    return shared


@pytest.fixture(scope="module")
def shared_silent() -> Iterator[Server]:
    environ = {"SSE_PUSH_HEARTBEAT_SECONDS": "1e12"}
    with serve("gunicorn-gevent", environ=environ) as server:
        yield server


@pytest.fixture
def silent(shared_silent: Server) -> Server:
    """A server that practically sends no heartbeats; its log may contain errors."""
    eventually(lambda: users(shared_silent) == [])
    return shared_silent


def send(server: Server, channel: str, data: object, **options: object) -> None:
    order = {"channel": channel, "event": "n", "data": data, **options}
    assert call(server, "POST", "/send", order)[0] == 200


def users(server: Server) -> list[str]:
    found: list[str] = call(server, "GET", "/state")[1]["users"]
    return found


def worker_pid(server: Server) -> int:
    """The serving process, as soon as there is exactly one."""
    eventually(lambda: len(server.workers()) == 1)
    [pid] = server.workers()
    return pid


def test_a_client_that_leaves_is_noticed_with_no_traffic(server: Server) -> None:
    # The next heartbeat is 30 s away, so no write can fail before.
    stream = Stream(server, user="2").read_opening()
    assert users(server) == ["2"]
    stream.close()
    eventually(lambda: users(server) == [], seconds=2)


def test_streams_take_none_of_the_servers_places(server: Server) -> None:
    # New users, because unread events of a known user would arrive first.
    streams = [Stream(server, user=str(n)).read_opening() for n in range(102, 142, 2)]
    assert len(users(server)) == 20
    send(server, "group:even", {"n": 1})
    for stream in streams:
        assert stream.read_events(1)[0][2]["n"] == 1
        stream.close()
    eventually(lambda: users(server) == [])


def test_a_client_that_does_not_read_is_closed_and_resumes_with_nothing_lost(
    server: Server,
) -> None:
    with Stream(server, user="4") as slow, Stream(server, user="6") as quick:
        slow.read_opening()
        quick.read_opening()
        number = 0
        while "4" in users(server):
            send(server, "group:even", {"n": number, "text": "x" * 20_000})
            number += 1
            quick.read_events(number)
            assert number < 500
        received = []
        while slow.pump():
            pass
        received += [data["n"] for _, _, data in slow.events]
        assert len(received) < number
        with Stream(server, user="4", last_id=slow.last_id) as again:
            again.read_events(number - len(received))
            received += [data["n"] for _, _, data in again.events]
        assert received == list(range(number))
        assert [data["n"] for _, _, data in quick.events] == list(range(number))


def test_a_client_that_needs_long_gets_a_replay_larger_than_the_bound(
    server: Server,
) -> None:
    with Stream(server, user="8") as stream:
        cursor = stream.read_opening().last_id
    for number in range(40):
        send(server, "user:8", {"n": number, "text": "x" * 20_000})
    with Stream(server, user="8", last_id=cursor) as stream:
        time.sleep(0.3)
        assert "8" in users(server)
        numbers = [data["n"] for _, _, data in stream.read_events(40)]
    assert numbers == list(range(40))


def test_a_burst_beyond_what_history_holds_says_what_is_missing(
    server: Server,
) -> None:
    count = 20_000
    with Stream(server, user="20") as stream:
        stream.read_opening()
        assert call(server, "POST", f"/burst/20/{count}")[0] == 200
        # The client reads nothing, so too many bytes wait.
        eventually(lambda: users(server) == [], seconds=20)
        while stream.pump():
            pass
        before = [data["n"] for _, _, data in stream.events]
        assert before == list(range(len(before)))
        assert len(before) < count - 5_000
        last_id = stream.last_id
    with Stream(server, user="20", last_id=last_id) as stream:
        stream.read_until(
            lambda s: bool(s.events) and s.events[-1][2].get("n") == count - 1
        )
        (name, _, gap), *rest = stream.events
        assert (name, gap["since"]) == ("sse-push-gap", last_id)
        assert [data["n"] for _, _, data in rest] == list(range(count - 5_000, count))


def test_only_the_newest_of_what_replaces_itself_waits(server: Server) -> None:
    with Stream(server, user="10") as stream:
        stream.read_opening()
        for number in range(400):
            data = {"n": number, "text": "x" * 20_000}
            send(server, "user:10", data, coalesce="progress")
        assert "10" in users(server)
        stream.read_until(lambda s: bool(s.events) and s.events[-1][2]["n"] == 399)
        numbers = [data["n"] for _, _, data in stream.events]
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 300


def test_a_client_that_talks_on_is_not_listened_to(server: Server) -> None:
    with Stream(server, user="12") as stream:
        stream.read_opening()
        stream.sock.sendall(b"GET / HTTP/1.1\r\n\r\n" * 1000)
        send(server, "user:12", {"n": 1})
        assert stream.read_events(1)[0][2]["n"] == 1


def test_how_an_answer_is_framed_is_not_for_the_application_to_say(
    server: Server,
) -> None:
    framing = {
        "Connection": "keep-alive",
        "Content-Length": "0",
        "Date": "Mon, 01 Jan 2024 00:00:00 GMT",
        "Keep-Alive": "timeout=5",
        "Trailer": "X-Own",
        "Upgrade": "h2c",
        "X-Own": "Zoë",
    }
    with Stream(server, f"/headers?{urlencode(framing)}") as stream:
        headers = stream.response.headers
        assert headers.get_all("Connection") == ["close"]
        [date] = headers.get_all("Date", [])
        assert date != framing["Date"]
        for name in ("Content-Length", "Keep-Alive", "Trailer", "Upgrade"):
            assert name not in headers
        assert headers["X-Own"] == "Zoë"
        stream.read_opening()
        send(server, "user:7", {"n": 1})
        assert stream.read_events(1)[0][2]["n"] == 1
    with Stream(server, "/headers?Transfer-Encoding=chunked") as stream:
        assert "Transfer-Encoding" not in stream.response.headers
        stream.read_opening()
    eventually(lambda: users(server) == [])


def test_the_heartbeat_may_be_so_long_that_it_means_never(silent: Server) -> None:
    with Stream(silent, user="2") as stream:
        stream.read_opening()
        send(silent, "user:2", {"n": 1})
        assert stream.read_events(1)[0][2]["n"] == 1


@pytest.mark.parametrize("value", ["a\x01b", "日本"])
def test_a_header_that_cannot_be_sent_is_an_error_and_leaves_no_stream(
    silent: Server, value: str
) -> None:
    eventually(lambda: users(silent) == [])
    query = urlencode({"X-Own": value})
    # This is gunicorn's own answer, which differs between its versions.
    assert call(silent, "GET", f"/headers?{query}")[0] in (400, 500)
    assert users(silent) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
def test_a_child_that_was_forked_does_not_keep_a_stream_open(silent: Server) -> None:
    with Stream(silent, user="4") as stream:
        stream.read_opening()
        child = call(silent, "GET", "/fork")[1]["pid"]
        try:
            call(silent, "POST", "/remove/4")
            while stream.pump():
                pass
            assert stream.events[-1][::2] == ("sse-push-closing", {"reason": "removed"})
            assert is_alive(child)
        finally:
            os.kill(child, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    # A child that was not waited for still exists, as a zombie.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_server_logs_the_access_once_and_no_error(server: Server) -> None:
    with Stream(server, user="1414") as stream:
        stream.read_opening()
    eventually(lambda: "user=1414" in server.log())
    assert (
        len(re.findall(r'"GET /sse/stream\?user=1414 HTTP/1.1" 200', server.log())) == 1
    )
    assert "Traceback" not in server.log()
    assert "ERROR" not in server.log()


def test_descriptors_come_back(server: Server) -> None:
    folder = Path(f"/proc/{worker_pid(server)}/fd")
    eventually(lambda: users(server) == [])
    before = len(list(folder.iterdir()))
    for _ in range(3):
        streams = [Stream(server, user="16").read_opening() for _ in range(30)]
        assert len(list(folder.iterdir())) > before + 25
        for stream in streams:
            stream.close()
        eventually(lambda: users(server) == [])
    eventually(lambda: len(list(folder.iterdir())) <= before + 1)


def test_a_client_that_vanished_is_given_up_by_the_kernel() -> None:
    # A TCP window that stays closed has the effect of a cut cable: sent bytes are
    # not acknowledged, and TCP_USER_TIMEOUT (twice the heartbeat) ends it.
    environ = {
        "SSE_PUSH_HEARTBEAT_SECONDS": "0.5",
        "SSE_PUSH_MAX_PENDING_BYTES": "100000000",
    }
    with serve("gunicorn-gevent", environ=environ) as server:
        connection = Connection(server)
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sock.sendall(b"GET /sse/stream?user=2 HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: users(server) == ["2"])
        for _ in range(40):
            send(server, "user:2", {"text": "x" * 60_000})
        assert users(server) == ["2"]
        eventually(lambda: users(server) == [], seconds=15)
        connection.close()


def test_a_reload_sends_clients_to_the_new_worker_at_once(server: Server) -> None:
    old = worker_pid(server)
    with Stream(server, user="18") as stream:
        stream.read_opening()
        start = time.monotonic()
        os.kill(server.process.pid, signal.SIGHUP)
        while stream.pump():
            pass
        assert stream.events[-1][::2] == ("sse-push-closing", {"reason": "shutdown"})
        # Much less than the 30 s for which gunicorn would wait for an open stream.
        assert time.monotonic() - start < 5
    # Until the old worker has ended, it may still accept the next request.
    eventually(lambda: old not in server.workers())
    eventually(lambda: call(server, "GET", "/ping")[0] == 200)


@pytest.mark.parametrize(
    "kind", ["gunicorn-gevent", "gunicorn-gevent-streamed", "gunicorn-gthread"]
)
def test_open_streams_do_not_hold_up_the_end(kind: str) -> None:
    with serve(kind) as server, Stream(server, user="2") as stream:
        stream.read_opening()
        # A stream that holds it up does so for gunicorn's --graceful-timeout of 30 s.
        assert server.stop(seconds=28) < 25
        while stream.pump():
            pass
        assert stream.events == [("sse-push-closing", None, {"reason": "shutdown"})]


def test_max_requests_ends_the_worker_with_a_stream_open() -> None:
    with (
        serve("gunicorn-gevent", arguments=("--max-requests", "3")) as server,
        Stream(server, user="2") as stream,
    ):
        stream.read_opening()
        pid = worker_pid(server)
        call(server, "GET", "/ping")
        call(server, "GET", "/ping")
        while stream.pump():
            pass
        assert json.dumps(stream.events[-1][2]) == '{"reason": "shutdown"}'
        eventually(lambda: worker_pid(server) != pid)
        # gunicorn stops at once only if its new worker has started.
        assert call(server, "GET", "/ping")[0] == 200
