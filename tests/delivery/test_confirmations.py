"""Which deliveries the backend is told of, when, and what happens if it cannot be."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest

from flask_sse_push.config import Config
from flask_sse_push.delivery import confirmations
from flask_sse_push.delivery import hub as delivery_hub
from flask_sse_push.delivery.confirmations import Confirmations
from flask_sse_push.delivery.connections import Connection, Limits
from flask_sse_push.delivery.connections.base import Owner
from flask_sse_push.delivery.connections.states import ClientEnd
from flask_sse_push.delivery.resume import Resume
from flask_sse_push.errors import BackendError
from flask_sse_push.events import START, Channel, Entry, Event, Position
from flask_sse_push.log import Unread
from flask_sse_push.runtime import task
from tests.support.clients import eventually

ANN, BOB = Channel("user:ann"), Channel("user:bob")


class Backend:
    """Notes up to where mailboxes were emptied; can be made to fail."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Position]] = []
        self.errors: list[Exception] = []

    def acknowledge_all(self, up_to: Mapping[str, Position]) -> None:
        if self.errors:
            raise self.errors.pop()
        self.calls.append(dict(up_to))

    @property
    def emptied(self) -> dict[str, Position]:
        return {user: at for call in self.calls for user, at in call.items()}


class Client(Connection):
    """A connection whose client acknowledges what a test says."""

    __slots__ = ("acknowledged",)

    def __init__(self, owner: Owner, user: Channel) -> None:
        super().__init__(owner, Limits(1000, 1000, confirms_mail=True), user, ())
        self.acknowledged = 0
        self.load(b"retry: 1\n\n", (), b"", START)

    def begin(self) -> None:
        pass

    def _write(self, frame: bytes, entries: object) -> None:
        pass

    def _release(self) -> None:
        pass

    def _acknowledged(self) -> int:
        return self.acknowledged

    def _closing_seconds(self) -> float:
        return 0.0


class Hub:
    """What the connections need of the hub."""

    def __init__(self, told: Confirmations) -> None:
        self.told = told

    def note_mail(self, connection: Connection) -> None:
        self.told.watch(connection)

    def unregister(
        self, connection: Connection, reason: str, delivered: Position | None
    ) -> None:
        self.told.forget(connection, delivered)


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def hub(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Events count as delivered at once, so that no test waits for seconds."""
    monkeypatch.setattr(Connection, "_settle_seconds", 0.0)
    monkeypatch.setattr(confirmations, "_PAUSE", 0.01)
    return Hub(Confirmations(backend.acknowledge_all))


def deliver(client: Client, number: int, *, mailbox: bool = True) -> None:
    event = Event(channel=str(client.user_channel), mailbox=mailbox)
    entry: Entry = event.at((number, 0))
    client.deliver_one(entry, time.monotonic())


def test_what_arrived_is_told_and_nothing_else(backend: Backend, hub: Hub) -> None:
    ann, bob = Client(hub, ANN), Client(hub, BOB)
    deliver(ann, 1)
    arrived = ann.bytes
    deliver(ann, 2)
    deliver(bob, 3)
    ann.acknowledged = arrived
    eventually(lambda: backend.emptied == {"ann": (1, 0)})
    ann.acknowledged = ann.bytes
    eventually(lambda: backend.emptied == {"ann": (2, 0)})


def test_events_outside_of_mailboxes_are_not_watched(
    backend: Backend, hub: Hub
) -> None:
    ann = Client(hub, ANN)
    deliver(ann, 1, mailbox=False)
    assert not ann.has_mail
    deliver(ann, 2)
    assert ann.has_mail


def test_many_deliveries_are_one_call(backend: Backend, hub: Hub) -> None:
    ann = Client(hub, ANN)
    for number in range(1, 101):
        deliver(ann, number)
    ann.acknowledged = ann.bytes
    eventually(lambda: backend.emptied == {"ann": (100, 0)})
    assert len(backend.calls) == 1


def test_an_orderly_close_is_told_at_once_and_a_broken_one_is_not(
    backend: Backend, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "_settle_seconds", 60.0)
    monkeypatch.setattr(confirmations, "_PAUSE", 60.0)
    ann, bob = Client(hub, ANN), Client(hub, BOB)
    for client in (ann, bob):
        deliver(client, 1)
        client.acknowledged = client.bytes
    bob.close("gone", ClientEnd.BROKEN)
    ann.close("gone", ClientEnd.CLOSED)
    eventually(lambda: backend.emptied == {"ann": (1, 0)})


def test_the_backend_is_told_when_it_can_be_reached_again(
    backend: Backend, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    backend.errors = [BackendError("unreachable"), RuntimeError("a fault")]
    hub.told.confirm(ANN, (7, 0))
    eventually(lambda: backend.emptied == {"ann": (7, 0)})
    # An outage is logged where the event log is read; a fault is logged here.
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_an_older_position_replaces_no_newer_one(backend: Backend, hub: Hub) -> None:
    backend.errors = [BackendError("unreachable")]
    hub.told.confirm(ANN, (7, 0))
    hub.told.confirm(ANN, (3, 0))
    eventually(lambda: backend.emptied == {"ann": (7, 0)})


def test_only_so_many_users_wait(
    backend: Backend, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmations, "_MAX_WAITING", 1)
    monkeypatch.setattr(confirmations, "_PAUSE", 0.5)
    hub.told.confirm(ANN, (1, 0))
    hub.told.confirm(BOB, (2, 0))
    eventually(lambda: backend.emptied == {"bob": (2, 0)})


def test_the_next_page_knows_what_the_last_one_was_given(
    backend: Backend, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "_settle_seconds", 60.0)
    assert hub.told.up_to(ANN) == START
    ann = Client(hub, ANN)
    deliver(ann, 1)
    ann.acknowledged = ann.bytes
    leaving = threading.Timer(0.05, ann.close, ["gone", ClientEnd.CLOSED])
    leaving.start()
    # It waits for the end of the page before. Then it knows of the event, unless the
    # backend has been told already.
    known = hub.told.up_to(ANN)
    assert max(known, backend.emptied.get("ann", START)) == (1, 0)
    assert hub.told.up_to(BOB) == START
    leaving.join()


def test_the_next_page_does_not_wait_for_a_page_that_stays(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "_settle_seconds", 60.0)
    monkeypatch.setattr(confirmations, "_HANDOVER", 0.05)
    ann = Client(hub, ANN)
    deliver(ann, 1)
    ann.acknowledged = ann.bytes
    assert hub.told.up_to(ANN) == START


def test_without_a_thread_the_next_event_tries_again(
    backend: Backend, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(task, "spawn", refuse)
        hub.told.confirm(ANN, (1, 0))
    hub.told.confirm(BOB, (2, 0))
    eventually(lambda: backend.emptied == {"ann": (1, 0), "bob": (2, 0)})


def test_unread_events_are_watched_without_the_registrys_lock() -> None:
    """Watching may start a thread, which nothing may do under that lock."""
    watched: list[Connection] = []

    class Watching(Confirmations):
        def watch(self, connection: Connection) -> None:
            assert not real.registry.lock.locked()
            watched.append(connection)

    told = Watching(Backend().acknowledge_all)
    real = delivery_hub.Hub(Config(heartbeat_seconds=60), lambda ended: None, told)
    real.restart((10, 0))
    client = Client(real, ANN)
    unread = Event(channel=ANN, mailbox=True).at((5, 0))
    real.register(client, Resume((10, 0)), Unread([unread]))
    assert watched == [client]
    assert client.has_mail
    client.close("gone")


def test_a_connection_that_has_closed_is_watched_no_more(
    backend: Backend, hub: Hub
) -> None:
    ann = Client(hub, ANN)
    deliver(ann, 1)
    ann.close("gone", ClientEnd.BROKEN)
    hub.told.watch(ann)
    eventually(lambda: not hub.told._watched)
