"""The hub's fan-out: order, batches, and a failure that affects one connection only."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_sse_push.config import Config
from flask_sse_push.delivery.connections import Connection, Limits
from flask_sse_push.delivery.hub import Ended, Hub
from flask_sse_push.delivery.resume import Resume
from flask_sse_push.events import (
    Entry,
    Event,
    Position,
    encode,
    format_id,
    parse_channel,
    parse_id,
)
from tests.support.clients import eventually

USERS = ("user:1", "user:2", None)
GROUPS = ("group:a", "group:b")
CHANNELS = ("all", "user:1", "user:2", "group:a", "group:b")


class Recording(Connection):
    """A connection that records the bytes it should write."""

    __slots__ = ("gate", "got", "opening", "writes")

    def __init__(
        self, hub: Hub, user: str | None = None, groups: tuple[str, ...] = ()
    ) -> None:
        super().__init__(
            hub,
            Limits(1000, 1000),
            None if user is None else parse_channel(user),
            tuple(parse_channel(group) for group in groups),
        )
        self.got: list[Position] = []
        self.opening = b""
        self.writes = 0
        self.gate: threading.Event | None = None

    def load(
        self,
        opening: bytes,
        replay: Sequence[Entry],
        end: bytes,
        cursor: Position,
        lost: Position | None = None,
    ) -> None:
        super().load(opening, replay, end, cursor, lost)
        self.opening = opening
        self.got += [entry.position for entry in replay]

    def begin(self) -> None:
        pass

    def _write(self, frame: bytes, entries: Sequence[Entry]) -> None:
        if self.gate is not None:
            self.gate.wait(5)
        self.writes += 1
        self.got += [entry.position for entry in entries]
        assert frame == b"".join(entry.frame for entry in entries) or not entries

    def _acknowledged(self) -> int:
        return self.bytes

    def _release(self) -> None:
        pass


class Broken(Recording):
    __slots__ = ()

    def _write(self, frame: bytes, entries: Sequence[Entry]) -> None:
        raise RuntimeError("a fault in a connection")


@pytest.fixture
def ended() -> list[Ended]:
    return []


@pytest.fixture
def hub(ended: list[Ended]) -> Hub:
    return Hub(Config(heartbeat_seconds=60), ended.extend)


def entry(ms: int, channel: str = "all") -> Entry:
    return Event(name="x", data=str(ms), channel=channel).at((ms, 0))


def register(
    hub: Hub,
    connection: Recording,
    cursor: str | None = None,
    *,
    is_memory: bool = True,
) -> Recording:
    resume = Resume.read(
        cursor,
        parse_id(cursor),
        now=hub.position,
        is_memory=is_memory,
    )
    hub.register(connection, resume)
    return connection


def now() -> int:
    # Positions are times, and the history drops old entries.
    from time import time_ns

    return time_ns() // 1_000_000


def test_what_waits_together_leaves_in_one_write(hub: Hub) -> None:
    gate = threading.Event()
    connection = register(hub, Recording(hub, "user:1", ("group:a",)))
    connection.gate = gate
    start = now()
    for number in range(41):
        hub.deliver(entry(start + number, CHANNELS[(0, 1, 3)[number % 3]]))
    gate.set()
    eventually(lambda: len(connection.got) == 41)
    assert connection.got == [(start + number, 0) for number in range(41)]
    # The first is written alone, or with those that came before the fan-out woke.
    assert connection.writes <= 2
    connection.close("gone")


def test_a_fault_in_one_connection_does_not_reach_the_others(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    connections = [register(hub, Recording(hub)) for _ in range(40)]
    register(hub, Broken(hub))
    connections += [register(hub, Recording(hub)) for _ in range(40)]
    start = now()
    hub.deliver(entry(start))
    hub.deliver(entry(start + 1))
    eventually(lambda: all(len(c.got) == 2 for c in connections))
    assert hub.registry.client_count() == 80
    assert "a fault in a connection" in caplog.text
    for connection in connections:
        connection.close("gone")


def test_a_cursor_ahead_of_this_worker_gets_nothing_twice() -> None:
    # Only another worker can be ahead, and there is none with the memory backend.
    hub = Hub(Config(backend_url="redis://elsewhere"), lambda ended: None)
    start = now()
    hub.deliver(entry(start))
    ahead = format_id((start + 2, 0))
    connection = register(hub, Recording(hub), ahead, is_memory=False)
    for number in (1, 2, 3):
        hub.deliver(entry(start + number))
    eventually(lambda: bool(connection.got))
    assert connection.got == [(start + 3, 0)]
    connection.close("gone")


def test_with_the_log_in_memory_a_cursor_ahead_of_the_clock_is_a_gap(
    hub: Hub,
) -> None:
    # The id is from an earlier process, whose clock was ahead of this one's.
    ahead = format_id((now() + 5_000, 0))
    connection = register(hub, Recording(hub), ahead)
    assert b"event: sse-push-gap\n" in connection.opening
    sent = now()
    hub.deliver(entry(sent))
    eventually(lambda: connection.got == [(sent, 0)])
    connection.close("gone")


@pytest.mark.parametrize("threads", [0, 1])
def test_when_no_thread_can_be_started_the_next_stream_tries_again(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    hub = Hub(Config(heartbeat_seconds=0.2), lambda ended: None)
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_few(thread: threading.Thread) -> None:
        if len(started) == threads:
            refuse_to_start(thread)
        started.append(thread)
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_few)
        refused = Recording(hub, "user:1")
        with pytest.raises(RuntimeError, match="new thread"):
            register(hub, refused)
        refused.close("error")
    assert hub.registry.client_count() == 0
    connection = register(hub, Recording(hub))
    sent = now()
    hub.deliver(entry(sent))
    eventually(lambda: connection.got == [(sent, 0)])
    # Heartbeats are writes, too.
    eventually(lambda: connection.writes >= 3)
    connection.close("gone")


def test_when_no_thread_can_be_started_ends_are_told_all_the_same(
    hub: Hub, ended: list[Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = register(hub, Recording(hub, "user:0"))
    with monkeypatch.context() as patch:
        connection = register(hub, Recording(hub, "user:1"))
        patch.setattr(threading.Thread, "start", refuse_to_start)
        connection.close("gone")
    for number in (2, 3):
        register(hub, Recording(hub, f"user:{number}")).close("gone")
    eventually(lambda: {end.user_id for end in ended} == {"1", "2", "3"})
    keep.close("gone")


def refuse_to_start(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_restart_of_the_log_is_announced_to_open_streams(hub: Hub) -> None:
    written: list[bytes] = []

    class Listening(Recording):
        __slots__ = ()

        def _write(self, frame: bytes, entries: Sequence[Entry]) -> None:
            written.append(frame)

    start = now()
    hub.deliver(entry(start))
    connection = register(hub, Listening(hub))
    hub.restart((start + 5, 0))
    eventually(lambda: bool(written))
    gap = f'{{"since":"{start}-0","oldest":"{start + 5}-0"}}'
    assert written[0].startswith(encode("sse-push-gap", gap))
    assert written[0].endswith(encode("sse-push-open", "{}", f"{start + 5}-0"))
    connection.close("gone")


def test_the_end_of_a_stream_is_told_with_its_figures(
    hub: Hub, ended: list[Ended]
) -> None:
    called: list[str] = []
    connection = register(hub, Recording(hub, "user:1"))
    connection.call_on_close(lambda: called.append("on close"))
    hub.deliver(entry(now(), "user:1"))
    eventually(lambda: bool(connection.got))
    connection.close("gone")
    connection.close("again")
    eventually(lambda: bool(ended))
    [end] = ended
    assert (end.user_id, end.reason, end.events) == ("1", "gone", 1)
    assert end.bytes > 0
    assert end.on_close is not None


def test_a_broadcast_over_many_slices_reaches_each_once(hub: Hub) -> None:
    connections = [register(hub, Recording(hub)) for _ in range(1000)]
    start = now()
    for number in range(5):
        hub.deliver(entry(start + number))
    eventually(lambda: all(len(c.got) == 5 for c in connections))
    expected = [(start + number, 0) for number in range(5)]
    assert all(c.got == expected for c in connections)
    for connection in connections:
        connection.close("gone")
    assert hub.registry.client_count() == 0
    assert hub.registry.connections_by_user() == {}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(CHANNELS)),
        st.tuples(
            st.just("open"),
            st.sampled_from(USERS),
            st.sets(st.sampled_from(GROUPS)).map(tuple),
        ),
        st.tuples(st.just("return"), st.integers(0, 20)),
        st.tuples(st.just("close"), st.integers(0, 20)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_whatever_comes_each_connection_gets_its_own_once_and_in_order(
    steps: list[tuple[Any, ...]],
) -> None:
    hub = Hub(Config(heartbeat_seconds=60), lambda ended: None)
    start = now()
    hub.restart((start, 0))
    log: list[Entry] = []
    # For each connection: its first position, and the newest one when it closed.
    lives: list[tuple[Recording, Position]] = []
    for step in steps:
        if step[0] == "send":
            log.append(entry(start + 1 + len(log), step[1]))
            hub.deliver(log[-1])
        elif step[0] == "open":
            cursor = hub.position
            lives.append((register(hub, Recording(hub, step[1], step[2])), cursor))
        elif lives:
            connection, _ = lives[step[1] % len(lives)]
            if step[0] == "close":
                connection.close("gone")
            elif not connection.is_open:
                cursor = connection.got[-1] if connection.got else (start, 0)
                again = Recording(hub, connection.user_channel, connection.groups)
                lives.append((register(hub, again, format_id(cursor)), cursor))
    log.append(entry(start + 1 + len(log), "all"))
    hub.deliver(log[-1])
    for connection, _ in lives:
        if connection.is_open:
            eventually(lambda c=connection: log[-1].position in c.got)  # type: ignore[misc]
    for connection, cursor in lives:
        channels = connection.channels
        due = [e.position for e in log if e.channel in channels and e.position > cursor]
        if connection.is_open:
            assert connection.got == due
            connection.close("gone")
        else:
            assert connection.got == due[: len(connection.got)]
