"""Faults within delivery: what goes on, and who is told."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from flask_sse_push.config import Config
from flask_sse_push.delivery.connections import Connection
from flask_sse_push.delivery.hub import Ended, Hub
from flask_sse_push.events import Removal, parse_channel
from tests.delivery.test_hub import Broken, Recording, entry, now, register
from tests.support.clients import eventually


@pytest.fixture
def hub() -> Hub:
    return Hub(Config(heartbeat_seconds=60), lambda ended: None)


def refuse_to_start(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_fault_in_one_connection_of_a_user_does_not_reach_the_others(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    before = register(hub, Recording(hub, "user:1"))
    register(hub, Broken(hub, "user:1"))
    after = register(hub, Recording(hub, "user:1"))
    hub.deliver(entry(now(), "user:1"))
    eventually(lambda: before.got and after.got)
    assert hub.registry.client_count() == 2
    assert "Writing to a connection failed" in caplog.text
    before.close("gone")
    after.close("gone")


def test_a_failed_delivery_does_not_end_delivering(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection = register(hub, Recording(hub, "user:1"))
    on = hub.registry.on

    def fail_once(channel: str) -> Sequence[Connection]:
        monkeypatch.setattr(hub.registry, "on", on)
        raise RuntimeError("a fault in the registry")

    monkeypatch.setattr(hub.registry, "on", fail_once)
    start = now()
    hub.deliver(entry(start, "user:1"))
    eventually(lambda: "a fault in the registry" in caplog.text)
    hub.deliver(entry(start + 1, "user:1"))
    eventually(lambda: connection.got == [(start + 1, 0)])
    connection.close("gone")


def test_events_wait_until_a_thread_can_deliver_them(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Recording(hub)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse_to_start)
        with pytest.raises(RuntimeError, match="new thread"):
            register(hub, connection)
        # The connection is registered until its carrier closes it.
        start = now()
        hub.deliver(entry(start))
        assert "the system cannot start a thread" in caplog.text
    hub.deliver(entry(start + 1))
    eventually(lambda: connection.got == [(start, 0), (start + 1, 0)])
    connection.close("gone")


def test_a_removal_takes_its_turn_among_the_events() -> None:
    ended: list[str] = []
    hub = Hub(
        Config(heartbeat_seconds=60),
        lambda ends: ended.extend(end.reason for end in ends),
    )
    gate = threading.Event()
    connection = register(hub, Recording(hub, "user:1"))
    other = register(hub, Recording(hub, "user:2"))
    connection.gate = gate
    start = now()
    # The first holds up the delivery, so that the rest waits together.
    for number in range(3):
        hub.deliver(entry(start + number))
    hub.deliver(Removal((start + 3, 0), parse_channel("user:1")))
    hub.deliver(entry(start + 4))
    gate.set()
    eventually(lambda: len(other.got) == 4)
    assert connection.got == [(start + number, 0) for number in range(3)]
    eventually(lambda: ended == ["removed"])
    other.close("gone")


def test_events_to_many_users_let_others_run_in_between(hub: Hub) -> None:
    connections = [register(hub, Recording(hub, f"user:{n}")) for n in range(300)]
    start = now()
    for number in range(300):
        hub.deliver(entry(start + number, f"user:{number}"))
    eventually(lambda: all(connection.got for connection in connections))
    for number, connection in enumerate(connections):
        assert connection.got == [(start + number, 0)]
        connection.close("gone")


def test_heartbeats_reach_many_connections_and_outlive_a_fault(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(Config(heartbeat_seconds=0.2), lambda ended: None)
    failed: list[bool] = []

    def fail_once(connections: tuple[Connection, ...]) -> None:
        if connections and not failed:
            failed.append(True)
            raise RuntimeError("a fault in a visit")
        visit(connections)

    visit = hub._heartbeat._visit
    monkeypatch.setattr(hub._heartbeat, "_visit", fail_once)
    connections = [register(hub, Recording(hub)) for _ in range(3_000)]
    eventually(lambda: all(connection.writes for connection in connections))
    assert "a fault in a visit" in caplog.text
    for connection in connections:
        connection.close("gone")


def test_an_error_of_who_is_told_of_ends_is_logged_and_the_next_end_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str | None] = []

    def tell(ended: Sequence[Ended]) -> None:
        told.extend(end.user_id for end in ended)
        if told == ["1"]:
            raise RuntimeError("a fault in a receiver")

    hub = Hub(Config(heartbeat_seconds=60), tell)
    register(hub, Recording(hub, "user:1")).close("gone")
    eventually(lambda: "a fault in a receiver" in caplog.text)
    register(hub, Recording(hub, "user:2")).close("gone")
    eventually(lambda: told == ["1", "2"])


def test_the_state_of_a_connection_has_a_name(hub: Hub) -> None:
    connection = Recording(hub, "user:1")
    assert repr(connection) == "<Recording user='1' new>"
    register(hub, connection)
    assert connection.state == "behind"  # its opening waits to be written
    connection.close("gone")
    assert connection.state == "closed"
