from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest

from flask_sse_push.config import Config
from flask_sse_push.errors import BackendError, OutboxFull
from flask_sse_push.events import Event, Position
from flask_sse_push.log import MemoryBackend
from flask_sse_push.log.redis import RedisBackend
from flask_sse_push.names import Priority
from flask_sse_push.runtime.backoff import Backoff
from flask_sse_push.sending import outbox as outbox_module
from flask_sse_push.sending.outbox import Outbox, with_nonce
from flask_sse_push.sending.receipt import Receipt
from tests.support.clients import eventually
from tests.support.receiver import Recorder
from tests.support.redis_server import RedisServer
from tests.support.servers import ROOT


class Flaky(MemoryBackend):
    """An event log that can be slow or unreachable, lose its answers, or refuse."""

    def __init__(self) -> None:
        super().__init__(Config())
        self.open = threading.Event()
        self.open.set()
        self.is_away = False
        self.answers_to_lose = 0
        self.refuses: Exception | None = None
        self.tries: list[float] = []
        self.batches: list[list[str]] = []

    def append(self, events: Sequence[Event]) -> list[Position]:
        self.tries.append(time.monotonic())
        # Under gevent, native threads call this, too. They must not wait.
        assert self.open.is_set() or self.open.wait(8)
        if self.is_away:
            raise BackendError("away")
        if self.refuses is not None:
            raise self.refuses
        positions = super().append(events)
        self.batches.append([event.data for event in events])
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            raise BackendError("no answer")
        return positions


class Box:
    """An outbox before an unreliable event log."""

    def __init__(self, size: int = 1_000) -> None:
        self.log = Flaky()
        self.receiver = Recorder()
        self.log.start(self.receiver, self.receiver)
        self.failed: list[tuple[Event, Exception]] = []
        self.outbox = Outbox(
            self.log.append, size, lambda *failure: self.failed.append(failure)
        )

    def put(
        self,
        text: str,
        priority: Priority = Priority.NORMAL,
        *,
        keeps_place: bool = False,
    ) -> Receipt:
        event = Event(data=text)
        return self.outbox.put(event, priority, None, keeps_place=keeps_place)

    @property
    def texts(self) -> list[str]:
        return self.receiver.texts


@pytest.fixture
def box() -> Box:
    return Box()


def test_an_event_gets_its_id_when_it_is_in_the_log(box: Box) -> None:
    box.log.open.clear()
    receipt = box.put("a")
    assert (receipt.queued, receipt.id) == (True, None)
    assert not receipt.wait(0.01)
    assert len(box.outbox) == 1
    box.log.open.set()
    assert receipt.wait(5)
    assert not receipt.queued
    assert receipt.id is not None
    assert box.outbox.flush(5)


def test_higher_priorities_leave_first_and_each_in_order(box: Box) -> None:
    box.log.open.clear()
    box.put("first")
    eventually(lambda: box.log.tries)
    for number in range(2):
        for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
            box.put(f"{priority} {number}", priority)
    box.log.open.set()
    assert box.outbox.flush(5)
    assert box.texts == [
        "first",
        *(f"{p} {n}" for p in ("high", "normal", "low") for n in range(2)),
    ]


def test_urgent_is_in_the_log_when_the_call_returns(box: Box) -> None:
    receipt = box.put("now", Priority.URGENT)
    assert not receipt.queued
    assert box.texts == ["now"]


def test_what_keeps_its_place_is_overtaken_by_nothing(box: Box) -> None:
    box.log.open.clear()
    box.put("first")
    eventually(lambda: box.log.tries)
    box.put("low", Priority.LOW)
    box.put("normal")
    for number in (1, 2):
        box.put(f"fixed {number}", Priority.URGENT, keeps_place=True)
        box.put("late")
        box.put("late and urgent", Priority.URGENT)
    assert len(box.outbox) == 9
    box.log.open.set()
    assert box.outbox.flush(5)
    assert box.texts == [
        *("first", "normal", "low"),
        *("fixed 1", "late and urgent", "late"),
        *("fixed 2", "late and urgent", "late"),
    ]


def test_what_keeps_its_place_is_in_the_log_at_once_where_nothing_waits(
    box: Box,
) -> None:
    assert not box.put("fixed", Priority.URGENT, keeps_place=True).queued
    assert not box.put("urgent", Priority.URGENT).queued
    assert box.texts == ["fixed", "urgent"]


def test_what_keeps_its_place_keeps_it_through_an_outage(box: Box) -> None:
    box.log.is_away = True
    box.put("before", Priority.LOW)
    box.put("fixed", Priority.URGENT, keeps_place=True)
    box.put("after", Priority.URGENT)
    eventually(lambda: len(box.log.tries) >= 2)
    box.log.is_away = False
    assert box.outbox.flush(5)
    assert box.texts == ["before", "fixed", "after"]


def test_urgent_waits_first_of_all_while_the_log_is_away(box: Box) -> None:
    box.log.is_away = True
    box.put("a")
    receipts = [box.put(f"urgent {n}", Priority.URGENT) for n in range(3)]
    assert all(receipt.queued for receipt in receipts)
    box.log.is_away = False
    assert box.outbox.flush(5)
    assert box.texts == ["urgent 0", "urgent 1", "urgent 2", "a"]


def test_an_outage_keeps_events_and_is_logged_once(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    box.log.is_away = True
    for number in range(10):
        box.put(str(number))
    eventually(lambda: len(box.log.tries) >= 4)
    assert len(box.outbox) == 10
    box.log.is_away = False
    assert box.outbox.flush(5)
    assert box.texts == [str(number) for number in range(10)]
    assert [message.split(";")[0] for message in caplog.messages] == [
        caplog.messages[0].split(";")[0],
        "The event log (SSE_PUSH_BACKEND_URL) accepts events again",
    ]
    assert "events wait in the outbox" in caplog.messages[0]


def test_pauses_between_tries_grow(box: Box) -> None:
    box.log.is_away = True
    box.put("a")
    eventually(lambda: len(box.log.tries) >= 5)
    box.log.is_away = False
    pauses = [b - a for a, b in pairwise(box.log.tries[:5])]
    assert all(pause >= 0.025 * 2**n for n, pause in enumerate(pauses))
    assert box.outbox.flush(5)


def test_backoff_is_bounded_jittered_and_begins_anew() -> None:
    backoff = Backoff()
    firsts = [backoff.is_first]
    pauses = [backoff.take() for _ in range(20)]
    firsts.append(backoff.is_first)
    assert firsts == [True, False]
    assert 0.025 <= pauses[0] <= 0.05
    assert all(1 <= pause <= 2 for pause in pauses[8:])
    assert len(set(pauses[8:])) > 1
    backoff.reset()
    assert backoff.take() <= 0.05


def test_a_full_outbox_says_how_many_wait() -> None:
    box = Box(size=3)
    box.log.is_away = True
    for number in range(3):
        box.put(str(number))
    for priority in (Priority.NORMAL, Priority.URGENT):
        with pytest.raises(OutboxFull, match="3 events wait") as caught:
            box.put("too many", priority)
        assert caught.value.count == 3
    box.log.is_away = False
    assert box.outbox.flush(5)
    assert box.texts == ["0", "1", "2"]
    assert not box.put("room again", Priority.URGENT).queued


@pytest.mark.parametrize("priority", [Priority.NORMAL, Priority.URGENT])
def test_a_lost_answer_doubles_nothing(box: Box, priority: Priority) -> None:
    box.log.answers_to_lose = 3
    receipts = [box.put(str(number), priority) for number in range(5)]
    assert box.outbox.flush(5)
    assert all(receipt.id for receipt in receipts)
    assert sorted(box.texts) == [str(number) for number in range(5)]
    assert len(box.log.batches) > 3


def test_what_the_log_refuses_for_good_is_told(box: Box) -> None:
    box.log.refuses = ValueError("never")
    box.put("a")
    eventually(lambda: box.failed)
    [(event, error)] = box.failed
    assert (event.data, str(error)) == ("a", "never")
    assert len(box.outbox) == 0
    box.log.refuses = None
    box.put("b")
    assert box.outbox.flush(5)
    assert box.texts == ["b"]


def test_it_goes_on_when_what_is_told_of_a_failure_fails(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[threading.Thread] = []

    def fail(event: Event, error: Exception) -> None:
        told.append(threading.current_thread())
        raise RuntimeError("a fault of the callback")

    # The error may end the outbox's thread, but not the test's.
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)

    outbox = Outbox(box.log.append, 10, fail)
    box.log.refuses = ValueError("never")
    outbox.put(Event(data="a"), Priority.NORMAL, None)
    eventually(lambda: told)
    told[0].join(8)
    box.log.refuses = None
    assert outbox.put(Event(data="b"), Priority.NORMAL, None).wait(8)
    assert box.texts == ["b"]


def test_batches_are_bounded_by_count_and_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    box = Box(size=2_000)
    monkeypatch.setattr(outbox_module, "_BATCH_CHARACTERS", 1_000)
    box.log.open.clear()
    for _ in range(1_000):
        box.put("x")
    for _ in range(20):
        box.put("y" * 400, Priority.LOW)
    box.log.open.set()
    assert box.outbox.flush(5)
    sizes = [len(batch) for batch in box.log.batches]
    assert max(sizes) == 500
    assert max(len("".join(batch)) for batch in box.log.batches) < 1_400
    assert len(box.texts) == 1_020


def test_an_event_keeps_the_nonce_it_has() -> None:
    event = Event(data="a", nonce="mine")
    assert with_nonce(event) is event
    first, second = with_nonce(Event(data="a")), with_nonce(Event(data="a"))
    assert first.nonce
    assert first.nonce != second.nonce
    assert with_nonce(first) is first


def test_many_threads_lose_nothing(box: Box) -> None:
    def send(name: int) -> None:
        for number in range(200):
            box.put(f"{name} {number}")

    threads = [threading.Thread(target=send, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert box.outbox.flush(5)
    for name in range(4):
        own = [text for text in box.texts if text.startswith(f"{name} ")]
        assert own == [f"{name} {number}" for number in range(200)]


_GEVENT = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent
from flask_sse_push.events import Event
from flask_sse_push.names import Priority
from tests.sending.test_outbox import Box

box = Box()
for number in range(5):
    gevent.get_hub().threadpool.apply(box.put, (str(number),))
    assert box.outbox.flush(5), number
assert box.texts == ["0", "1", "2", "3", "4"], box.texts
print("fine")
"""


def test_native_threads_send_under_gevent() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _GEVENT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == "fine\n", done.stderr


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.mark.redis
def test_a_real_outage_loses_and_doubles_nothing(server: RedisServer) -> None:
    config = Config(backend_url=f"{server.url}?socket_timeout=0.3")
    backend, receiver = RedisBackend(config), Recorder()
    backend.start(receiver, receiver)
    outbox = Outbox(backend.append, 10_000, lambda event, error: None)
    sent = 0

    def put(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            outbox.put(Event(data=str(sent)), Priority.NORMAL, None)
            sent += 1

    put(100)
    assert outbox.flush(5)
    # The paused server reads the command later, so its answer comes too late.
    server.pause()
    put(100)
    time.sleep(0.8)
    put(100)
    server.resume()
    put(100)
    assert outbox.flush(8)
    server.stop()
    put(100)
    assert not outbox.flush(0.2)
    server.start()
    assert outbox.flush(8)
    eventually(lambda: len(receiver.texts) >= sent)
    assert receiver.texts == [str(number) for number in range(sent)]
    assert server.command("XLEN", "{sse_push}:log") >= sent + 1
    backend.stop()
