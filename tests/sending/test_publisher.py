from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from markupsafe import Markup
from marshmallow import Schema, fields

from flask_sse_push import (
    BackendError,
    ConfigError,
    EventError,
    PayloadError,
    Priority,
    Publisher,
    RateLimitExceeded,
)
from flask_sse_push.config import Config
from flask_sse_push.events import START
from flask_sse_push.log.redis import RedisBackend
from flask_sse_push.sending import publisher as publisher_module
from tests.support.clients import eventually
from tests.support.receiver import Recorder
from tests.support.redis_server import RedisServer, free_port
from tests.support.servers import ROOT

pytestmark = pytest.mark.redis

_prefixes = (f"p{number}" for number in count())


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return next(_prefixes)


@pytest.fixture
def publisher(server: RedisServer, prefix: str) -> Iterator[Publisher]:
    with Publisher.from_url(server.url, key_prefix=prefix) as publisher:
        yield publisher


class Reader:
    """A worker of the application that the publisher sends to."""

    def __init__(self, url: str, prefix: str) -> None:
        self.receiver = Recorder()
        self.backend = RedisBackend(Config(backend_url=url, key_prefix=prefix))
        self.backend.start(self.receiver, self.receiver)
        assert self.backend.wait_ready(5)

    def sent(
        self, count: int, *, seconds: float = 8.0
    ) -> list[tuple[str, str, dict[str, Any]]]:
        """The channel, name and data of the first ``count`` events."""
        receiver = self.receiver
        eventually(lambda: len(receiver.frames) >= count, seconds)
        found: list[tuple[str, str, dict[str, Any]]] = []
        for entry in receiver.entries:
            _, name, data = entry.frame.decode().split("\n")[:3]
            payload = json.loads(data.removeprefix("data: "))
            found.append((entry.channel, name.removeprefix("event: "), payload))
        assert len(found) == count
        return found


@pytest.fixture
def reader(server: RedisServer, prefix: str) -> Iterator[Reader]:
    reader = Reader(server.url, prefix)
    yield reader
    reader.backend.stop()


def test_the_sending_verbs(publisher: Publisher, reader: Reader) -> None:
    receipts = [
        publisher.send_to_user(1, "e", {"some_text": "a"}),
        *publisher.send_to_users([2, "3"], "e", {"n": 1}, store=False),
        publisher.send_to_group("admins", "e", {"n": 2}, priority=Priority.URGENT),
        publisher.broadcast("e", {"n": 3}),
    ]
    ids = [receipt.id for receipt in receipts]
    assert None not in ids
    assert not any(receipt.queued for receipt in receipts)
    assert {receipt.connected for receipt in receipts} == {None}
    sent = reader.sent(5)
    assert [channel for channel, _, _ in sent] == [
        "user:1",
        "user:2",
        "user:3",
        "group:admins",
        "all",
    ]
    _, name, payload = sent[0]
    assert name == "e"
    assert payload["some_text"] == "a"
    assert payload["timestamp"].endswith("Z")
    assert len(reader.backend.unread("1", START).entries) == 1
    assert reader.backend.unread("2", START).entries == []


def test_many_users_are_sent_to_in_few_steps(
    publisher: Publisher, reader: Reader
) -> None:
    receipts = publisher.send_to_users(range(1_200), "e", {"n": 1})
    ids = [receipt.id for receipt in receipts]
    assert len(set(ids)) == 1_200
    assert len(reader.sent(1_200)) == 1_200


def test_who_is_connected_and_removal(publisher: Publisher, reader: Reader) -> None:
    assert publisher.get_client_count() == 0
    reader.receiver.users = {"7": 2}
    eventually(lambda: publisher.is_user_connected(7))
    assert publisher.get_client_count() == 2
    assert publisher.get_connected_users() == {"7"}
    publisher.remove_client(7)
    eventually(lambda: reader.receiver.removals)
    assert [removal.user for removal in reader.receiver.removals] == ["user:7"]


def test_joining_and_leaving_a_group(publisher: Publisher, reader: Reader) -> None:
    publisher.join(7, "g")
    publisher.send_to_group("g", "e", {"n": 1})
    publisher.leave(7, "g")
    eventually(lambda: len(reader.receiver.memberships) == 2)
    joined, left = reader.receiver.memberships
    assert (joined.user, joined.group, joined.joins) == ("user:7", "group:g", True)
    assert (left.user, left.group, left.joins) == ("user:7", "group:g", False)
    [entry] = reader.receiver.entries
    assert joined.position < entry.position < left.position
    for user, group in (("", "g"), (None, "g"), (7, ""), (7, 7)):
        with pytest.raises(EventError):
            publisher.join(user, group)  # type: ignore[arg-type]
        with pytest.raises(EventError):
            publisher.leave(user, group)  # type: ignore[arg-type]


def test_acknowledging(publisher: Publisher, reader: Reader) -> None:
    receipts = [publisher.send_to_user("1", "e", {"n": n}) for n in range(3)]
    assert receipts[1].id is not None
    assert publisher.acknowledge("1", receipts[1].id) == 2
    with pytest.raises(EventError):
        publisher.acknowledge("1", "x")


def test_what_is_wrong_is_refused_before_anything_is_sent(
    publisher: Publisher, reader: Reader
) -> None:
    class Strict(Schema):
        count = fields.Integer(required=True)

    publisher.register_schema("counted", Strict)
    with pytest.raises(PayloadError):
        publisher.broadcast("counted", {"count": "many"})
    with pytest.raises(EventError):
        publisher.send_to_users(["1", ""], "e", {})
    with pytest.raises(EventError):
        publisher.broadcast("sse-push-gap", {})
    with pytest.raises(EventError, match="soon"):
        publisher.broadcast("e", {}, priority="soon")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        publisher.broadcast("e", {}, prioritty="high")  # type: ignore[call-arg]
    publisher.broadcast("counted", {"count": 1})
    assert reader.sent(1)[0][2]["count"] == 1


def test_text_and_what_flask_dumps_by_default(
    publisher: Publisher, reader: Reader
) -> None:
    noon = datetime(2030, 5, 1, 12, tzinfo=UTC)
    publisher.broadcast("e", {"when": noon, "id": UUID(int=5)})
    with pytest.raises(PayloadError, match=r"'a\[1\]'"):
        publisher.broadcast("e", {"a": [1, object()]})
    [(_, _, payload)] = reader.sent(1)
    publisher.send_to_user("1", "row", Markup("<li>\r\n</li>"))
    assert payload["when"] == "Wed, 01 May 2030 12:00:00 GMT"
    assert payload["id"] == str(UUID(int=5))
    eventually(lambda: len(reader.receiver.frames) == 2)
    assert b"event: row\ndata: <li>\ndata: </li>\n\n" in reader.receiver.frames[1]
    [unread] = reader.backend.unread("1", START).entries
    assert unread.frame == reader.receiver.frames[1]


def test_an_id_of_ones_own_arrives_once(publisher: Publisher, reader: Reader) -> None:
    for _ in range(2):
        publisher.send_to_user("1", "e", {"n": 1}, id="order-1")
    publisher.send_to_user("1", "e", {"n": 2})
    first, _ = reader.sent(2)
    assert first[2]["id"] == "order-1"


def test_rate_limits(server: RedisServer, prefix: str) -> None:
    with Publisher.from_url(
        server.url, key_prefix=prefix, rate_limit="1/hour"
    ) as publisher:
        publisher.send_to_user("1", "e", {})
        with pytest.raises(RateLimitExceeded):
            publisher.send_to_user("1", "e", {})
        publisher.send_to_user("1", "e", {}, rate_limit="5/hour")


def test_memory_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="no other process reaches"):
        Publisher.from_url("memory://")


def test_wrong_options_are_named(server: RedisServer) -> None:
    with pytest.raises(ConfigError, match="'mailbox_sise' is not a setting"):
        Publisher.from_url(server.url, mailbox_sise=5)
    with pytest.raises(ConfigError, match="SSE_PUSH_MAILBOX_SIZE"):
        Publisher.from_url(server.url, mailbox_size=-5)


def test_an_outage_is_waited_for_or_told(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RedisServer()
    pauses: list[float] = []
    has_tried = threading.Event()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        has_tried.set()
        time.sleep(seconds)

    def start_once_tried() -> None:
        assert has_tried.wait(20)
        server.start()

    monkeypatch.setattr(publisher_module, "sleep", pause)
    with Publisher.from_url(server.url, key_prefix=prefix, timeout=0.3) as publisher:
        with pytest.raises(BackendError, match=r"2 of 2 events .* within 0\.3 s"):
            publisher.send_to_users([1, 2], "e", {})
        assert pauses
        assert sum(pauses) <= 0.3
    has_tried.clear()
    with Publisher.from_url(server.url, key_prefix=prefix, timeout=30) as publisher:
        starter = threading.Thread(target=start_once_tried)
        starter.start()
        assert publisher.broadcast("e", {}).id is not None
        starter.join()
        server.stop()
        server.start()
        assert publisher.broadcast("e", {}).id is not None
    server.close()


def test_threads_share_a_publisher(publisher: Publisher, reader: Reader) -> None:
    def send(name: int) -> None:
        for number in range(50):
            publisher.broadcast("e", {"name": name, "n": number})

    threads = [threading.Thread(target=send, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = [payload for _, _, payload in reader.sent(400)]
    for name in range(8):
        assert [p["n"] for p in sent if p["name"] == name] == list(range(50))


def _send_from_child(publisher: Publisher, name: int) -> None:
    for number in range(50):
        publisher.broadcast("e", {"name": name, "n": number})


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_processes_make_their_own_connections(
    publisher: Publisher, reader: Reader
) -> None:
    publisher.broadcast(
        "e", {"name": -1, "n": 0}
    )  # opens a connection that the child inherits
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=_send_from_child, args=(publisher, name))
        for name in range(3)
    ]
    for child in children:
        child.start()
    for number in range(1, 51):
        publisher.broadcast("e", {"name": -1, "n": number})
    for child in children:
        child.join(10)
        assert child.exitcode == 0
    sent = [payload for _, _, payload in reader.sent(201)]
    for name in range(3):
        assert [p["n"] for p in sent if p["name"] == name] == list(range(50))


def test_the_example_script(server: RedisServer) -> None:
    reader = Reader(server.url, "sse_push")
    done = subprocess.run(
        [sys.executable, "-m", "example.publish_script", server.url, "hello"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    try:
        [(channel, name, payload)] = reader.sent(1)
        assert (channel, name, payload["content"]) == ("all", "announcement", "hello")
        assert done.stdout.strip().encode() in reader.receiver.frames[0]
    finally:
        reader.backend.stop()


_PATTERNS = """
import sys
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from flask_sse_push import Publisher

url, prefix = sys.argv[1:]
with Publisher.from_url(url, key_prefix=prefix) as publisher:
    batch = publisher.send_batch([("1", {"n": 1}), {"user_id": "2", "n": 2}], "batch")
    sequence = publisher.sequence("3", "order-status", [
        {"order_id": "A-1", "status": "processing", "message": "Packing"},
        {"order_id": "A-1", "status": "shipped", "message": "On its way"},
    ], pause=0.01)
    assert sequence.wait(20), sequence
    with publisher.progress("4", total=2, rate=1e9) as progress:
        progress.advance(2)
    try:
        for item in publisher.progress("5", [1, 2], failed_message="Sorry.", rate=1e-9):
            raise LookupError("secret")
    except LookupError:
        pass
    engine = create_engine("sqlite://")
    with Session(engine) as session:
        late = publisher.after_commit(session).send_to_user("6", "kept", {})
        dropped = publisher.after_commit(session).broadcast("in a rollback", {})
        assert late.queued
        session.connection()
        session.rollback()
        late = publisher.after_commit(session).send_to_user("6", "kept", {"n": 6})
        session.connection()
        session.commit()
    engine.dispose()
    assert dropped.queued and not late.queued
    assert all(receipt.id for receipt in [*batch, *sequence.receipts, late])
"""


def test_the_patterns_in_a_script_of_its_own(
    server: RedisServer, prefix: str, reader: Reader
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PATTERNS, server.url, prefix],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    by_channel: dict[str, list[dict[str, Any]]] = {}
    for channel, _, payload in reader.sent(10):
        by_channel.setdefault(channel, []).append(payload)
    [one], [two] = by_channel["user:1"], by_channel["user:2"]
    assert (one["n"], two["n"]) == (1, 2)
    assert one["batchId"] == two["batchId"]
    steps = by_channel["user:3"]
    assert [(p["step"], p["totalSteps"]) for p in steps] == [(1, 2), (2, 2)]
    done_states = [(p["status"], p["current"]) for p in by_channel["user:4"]]
    assert done_states == [("running", 0), ("running", 2), ("done", 2)]
    failed = by_channel["user:5"]
    assert [p["status"] for p in failed] == ["running", "failed"]
    assert failed[-1]["message"] == "Sorry."
    assert [payload["n"] for payload in by_channel["user:6"]] == [6]
    assert "all" not in by_channel


_CELERY_WORKER = """
import sys
from example.tasks import celery
celery.worker_main(["worker", "--pool=prefork", "--concurrency=2", "--loglevel=ERROR",
                    "--without-gossip", "--without-mingle", "--without-heartbeat"])
"""


def test_the_example_task_in_a_prefork_pool(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = {
        "SSE_PUSH_BACKEND_URL": server.url.replace("/0", "/5"),
        "CELERY_BROKER_URL": server.url.replace("/0", "/6"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    from example.tasks import celery, make_report

    celery.conf.broker_url = environment["CELERY_BROKER_URL"]
    reader = Reader(environment["SSE_PUSH_BACKEND_URL"], "sse_push")
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-c", _CELERY_WORKER], cwd=ROOT, stderr=log, stdout=log
        )
    try:
        for number in range(4):
            make_report.delay(f"user{number}", f"report{number}", 3, 0.3)
        # Pages take longer than the pause that progress keeps between two events.
        sent = reader.sent(20, seconds=40)
        for number in range(4):
            own = [p for channel, _, p in sent if channel == f"user:user{number}"]
            assert [payload["current"] for payload in own] == [0, 1, 2, 3, 3]
            assert [p["status"] for p in own] == ["running"] * 4 + ["done"]
            assert {payload["taskId"] for payload in own} == {f"report{number}"}
    finally:
        worker.terminate()
        try:
            worker.wait(5)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait(5)
        reader.backend.stop()
        celery.close()


def test_nothing_is_connected_before_it_is_needed() -> None:
    publisher = Publisher.from_url(f"redis://127.0.0.1:{free_port()}/0")
    publisher.close()
