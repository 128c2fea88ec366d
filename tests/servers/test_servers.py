"""The same behaviour under every server: each test runs once for each of them."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from httpx_sse import connect_sse
from sseclient import SSEClient

from tests.support.clients import Connection, Stream, call, eventually
from tests.support.servers import KINDS, Server, serve

pytestmark = pytest.mark.server


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    environ = {
        "SSE_PUSH_HISTORY_SIZE": "20000",
        "SSE_PUSH_HEARTBEAT_SECONDS": "0.4",
        "SSE_PUSH_MAX_CONNECTIONS_PER_USER": "3",
    }
    with serve(request.param, environ=environ) as server:
        yield server


def send(server: Server, channel: str, number: int, event: str = "n") -> str:
    order = {"channel": channel, "event": event, "data": {"n": number}}
    status, answer, _ = call(server, "POST", "/send", order)
    assert status == 200, answer
    return str(answer["id"])


def numbers(stream: Stream) -> list[int]:
    return [data["n"] for _, _, data in stream.events]


def test_each_gets_own_events_group_and_broadcasts_in_order(server: Server) -> None:
    with (
        Stream(server, user="2") as even,
        Stream(server, user="3") as odd,
        Stream(server) as nobody,
    ):
        for stream in (even, odd, nobody):
            stream.read_opening()
        channels = ("user:2", "group:even", "all", "user:3", "group:odd", "user:4")
        for number, channel in enumerate(channels):
            send(server, channel, number)
        send(server, "all", 99)
        for stream in (even, odd, nobody):
            stream.read_until(lambda s: 99 in numbers(s))
        assert numbers(even) == [0, 1, 2, 99]
        assert numbers(odd) == [2, 3, 4, 99]
        assert numbers(nobody) == [2, 99]


def test_users_never_receive_each_others_events(server: Server) -> None:
    with Stream(server, user="10") as one, Stream(server, user="20") as other:
        one.read_opening()
        other.read_opening()
        for number in range(200):
            send(server, f"user:{10 if number % 2 else 20}", number)
        send(server, "all", 1000)
        one.read_until(lambda s: 1000 in numbers(s))
        other.read_until(lambda s: 1000 in numbers(s))
        assert numbers(one) == [*range(1, 200, 2), 1000]
        assert numbers(other) == [*range(0, 200, 2), 1000]


def test_returning_a_thousand_times_loses_doubles_and_reorders_nothing(
    server: Server,
) -> None:
    returns, per_return = 1000, 20
    dice = random.Random(7)
    received: list[int] = []
    with Stream(server, user="8") as stream:
        last_id = stream.read_opening().last_id

    for turn in range(returns):
        body = f'{{"user": "8", "start": {turn * per_return}, "count": {per_return}}}'
        publisher = Connection(server)
        publisher.request("POST", "/flood", body, {"Content-Type": "application/json"})
        with Stream(server, user="8", last_id=last_id) as stream:
            # The client leaves at once, in the middle, or after the last event.
            enough = dice.choice((0, 1, per_return // 2, per_return))
            stream.read_until(lambda s: len(s.events) >= enough)  # noqa: B023
            received += numbers(stream)
            last_id = stream.last_id
        publisher.getresponse().read()
        publisher.close()

    def has_all() -> bool:
        # A server that has not noticed yet that clients left may say "retry".
        nonlocal last_id
        missing = returns * per_return - len(received)
        with Stream(server, user="8", last_id=last_id) as stream:
            received.extend(data["n"] for _, _, data in stream.read_events(missing))
            last_id = stream.last_id
        return len(received) >= returns * per_return

    eventually(has_all)
    assert received == list(range(returns * per_return))


def test_a_burst_to_one_user_in_one_request_arrives_whole(server: Server) -> None:
    # A client that is too slow is disconnected, and reconnects for the rest.
    count = 20_000
    received: list[int] = []

    def read(stream: Stream) -> str | None:
        last = count - 1
        stream.read_until(lambda s: bool(s.events) and s.events[-1][2]["n"] == last, 40)
        received.extend(numbers(stream))
        return stream.last_id

    with Stream(server, user="40") as stream:
        stream.read_opening()
        publisher = Connection(server, timeout=40)
        publisher.request("POST", f"/burst/40/{count}")
        last_id = read(stream)
    assert publisher.getresponse().status == 200
    publisher.close()
    returns = 0
    while received[-1:] != [count - 1]:
        returns += 1
        assert returns < 100, f"only {len(received)} came"
        with Stream(server, user="40", last_id=last_id) as stream:
            last_id = read(stream)
    assert received == list(range(count))


def test_httpx_sse_reads_the_stream(server: Server) -> None:
    transport = (
        httpx.HTTPTransport(uds=server.address.removeprefix("unix:"))
        if isinstance(server.address, str)
        else None
    )
    with (
        httpx.Client(transport=transport, base_url=server.url, timeout=10) as client,
        connect_sse(client, "GET", "/sse/stream?user=12") as source,
    ):
        sent = []

        def publish() -> None:
            sent.append(send(server, "user:12", 5, "größe"))

        eventually(lambda: "12" in call(server, "GET", "/state")[1]["users"])
        threading.Thread(target=publish).start()
        events = source.iter_sse()
        opening = next(events)
        assert (opening.event, opening.json()) == ("sse-push-open", {})
        event = next(events)
        eventually(lambda: bool(sent))
        assert (event.event, event.json()["n"], event.id) == ("größe", 5, sent[0])


def test_sseclient_reads_the_stream(server: Server) -> None:
    first = send(server, "user:14", 1)
    send(server, "user:14", 2)
    with Stream(server, user="14", last_id=first) as stream:
        events = SSEClient(iter(lambda: stream.response.read1(4096), b"")).events()
        opening = next(events)
        assert (opening.event, opening.retry) == ("sse-push-open", "3000")
        assert opening.id == first
        event = next(events)
        assert event.event == "n"
        assert event.id is not None
        assert event.id > first
        assert '"n":2' in event.data


def test_the_cursor_comes_before_any_event(server: Server) -> None:
    with Stream(server, user="16") as stream:
        cursor = stream.read_opening().last_id
    sent = send(server, "user:16", 1)
    with Stream(server, user="16", last_id=cursor) as stream:
        assert stream.read_events(1)[0][1] == sent


def test_heartbeats_keep_an_idle_stream_alive(server: Server) -> None:
    with Stream(server, user="18") as stream:
        stream.read_until(lambda s: s.raw.count(b": \n\n") >= 3)
        assert stream.events == []


def test_a_client_that_left_is_forgotten(server: Server) -> None:
    stream = Stream(server, user="22").read_opening()
    assert "22" in call(server, "GET", "/state")[1]["users"]
    stream.close()
    eventually(lambda: "22" not in call(server, "GET", "/state")[1]["users"])


def test_remove_client_ends_the_users_streams_only(server: Server) -> None:
    with (
        Stream(server, user="24") as first,
        Stream(server, user="24") as second,
        Stream(server, user="26") as other,
    ):
        for stream in (first, second, other):
            stream.read_opening()
        call(server, "POST", "/remove/24")
        for stream in (first, second):
            while stream.pump():
                pass
            assert stream.events == [("sse-push-closing", None, {"reason": "removed"})]
        send(server, "user:26", 1)
        assert other.read_events(1)[0][2]["n"] == 1


def test_an_ephemeral_event_reaches_who_is_there_and_nobody_later(
    server: Server,
) -> None:
    with Stream(server, user="30") as stream:
        cursor = stream.read_opening().last_id
        order = {"channel": "user:30", "event": "n", "data": {"n": 1}, "store": False}
        call(server, "POST", "/send", order)
        stream.read_events(1)
    send(server, "user:30", 2)
    # The mailbox first: what is delivered to one stream leaves it.
    for last_id in (None, cursor):
        with Stream(server, user="30", last_id=last_id) as stream:
            assert [data["n"] for _, _, data in stream.read_events(1)] == [2]


@pytest.mark.parametrize("last_id", ["nonsense", "1-1", "9" * 16 + "-0", "ä", "1-1-1"])
def test_an_id_that_says_nothing_gets_a_gap_and_a_fresh_start(
    server: Server, last_id: str
) -> None:
    send(server, "user:32", 0)
    with Stream(server, user="32", last_id=last_id) as stream:
        stream.read_opening()
        number = send(server, "all", 1)
        stream.read_until(lambda s: s.last_id == number)
        name, _, data = stream.events[0]
        assert name == "sse-push-gap"
        assert data["since"] == (last_id if last_id == "1-1" else None)
        assert stream.events[-1][1] == number


def test_methods_and_accept(server: Server) -> None:
    status, body, headers = call(server, "HEAD", "/sse/stream?user=2")
    assert (status, body) == (200, "")
    assert headers["Content-Type"].startswith("text/event-stream")
    assert call(server, "POST", "/sse/stream?user=2")[0] == 405
    assert call(server, "GET", "/sse/stream", None, {"Accept": "text/html"})[0] == 406
    assert call(server, "GET", "/sse/stream?user=666")[0] == 403
    assert call(server, "GET", "/ping")[:2] == (200, "ok")


def test_more_connections_than_a_user_may_have_are_asked_to_wait(
    server: Server,
) -> None:
    streams = [Stream(server, user="34").read_opening() for _ in range(3)]
    with Stream(server, user="34") as refused:
        assert refused.response.status == 200
        while refused.pump():
            pass
        assert refused.raw.startswith(b"retry: ")
        assert b"data:" not in refused.raw
    for stream in streams:
        stream.close()


def test_a_response_keeps_what_hooks_added_and_calls_back_when_it_ends(
    server: Server,
) -> None:
    before = len(call(server, "GET", "/state")[1]["closed"])
    with Stream(server, "/own") as stream:
        stream.read_opening()
        assert stream.response.headers["X-Late"] == "added"
        assert "seen=yes" in stream.response.headers["Set-Cookie"]
        assert stream.response.headers["Cache-Control"] == "no-store, no-transform"
        send(server, "group:vip", 1)
        assert stream.read_events(1)[0][2]["n"] == 1
    eventually(lambda: len(call(server, "GET", "/state")[1]["closed"]) > before)


def test_a_stream_that_is_replaced_leaves_nothing_behind(server: Server) -> None:
    eventually(lambda: call(server, "GET", "/state")[1]["count"] == 0)
    assert call(server, "GET", "/replaced")[:2] == (200, "something else")
    assert call(server, "GET", "/state")[1]["count"] == 0


def test_a_client_that_speaks_http_1_0_is_served(server: Server) -> None:
    connection = Connection(server)
    connection.connect()
    connection.sock.sendall(b"GET /sse/stream?user=36 HTTP/1.0\r\nHost: x\r\n\r\n")
    send_when_there = threading.Timer(0.3, send, (server, "user:36", 1))
    send_when_there.start()
    received = b""
    while b'"n":1' not in received:
        chunk = connection.sock.recv(4096)
        assert chunk, received
        received += chunk
    head = received.partition(b"\r\n\r\n")[0].lower()
    assert b"200 ok" in head
    connection.close()
    send_when_there.join()
    # Werkzeug's development server sends chunks even to HTTP/1.0 clients.
    assert b"transfer-encoding" not in head or server.kind == "flask-run"


def test_a_client_may_shut_its_socket_hard(server: Server) -> None:
    for _ in range(5):
        stream = Stream(server, user="38").read_opening()
        stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        stream.close()
        eventually(lambda: "38" not in call(server, "GET", "/state")[1]["users"])
    assert "Traceback" not in server.log()
