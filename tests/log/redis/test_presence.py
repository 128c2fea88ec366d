"""Presence: who is connected, over all workers."""

from __future__ import annotations

from typing import Any

import pytest

from flask_sse_push.errors import BackendError
from flask_sse_push.log.redis import online, presence
from flask_sse_push.log.redis.scripts import Script
from flask_sse_push.log.redis.server import Server
from tests.log.redis.workers import Start, Worker, wait_for_clients
from tests.support.clients import eventually
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis


def test_workers_agree_on_who_is_connected(start: Start) -> None:
    first, second = start(), start()
    first.receiver.users = {"1": 2, "é": 1}
    second.receiver.users = {"1": 1, "3": 1}
    second.receiver.anonymous = 5
    for worker in (first, second):
        backend = worker.backend
        wait_for_clients(worker, 10)
        assert backend.connected_users() == {"1", "3", "é"}
        assert backend.is_user_connected("3")
        assert not backend.is_user_connected("4")
        assert backend.health()["workers"] == 2
    del first.receiver.users["é"]
    first.receiver.users["1"] = 1
    wait_for_clients(second, 8)
    assert second.backend.connected_users() == {"1", "3"}
    first.backend.stop()
    assert second.backend.client_count() == 7
    assert second.backend.health()["workers"] == 1


def test_a_killed_worker_expires(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_EXPIRY_SECONDS", 1.0)
    monkeypatch.setattr(presence, "_REFRESH_SECONDS", 0.3)
    dying, other = start(), start()
    dying.receiver.users = {"1": 1}
    eventually(lambda: other.backend.is_user_connected("1"))
    # Like kill -9: it stops refreshing its presence and removes nothing.
    dying.backend._presence._stopped.set()
    eventually(lambda: not other.backend.is_user_connected("1"), seconds=4)
    assert other.backend.client_count() == 0
    assert other.backend.health()["workers"] == 1


def test_workers_agree_on_who_is_in_a_group(start: Start) -> None:
    first, second = start(), start()
    first.receiver.groups = {("g", "1"), ("g", "é"), ("g2", "1")}
    second.receiver.groups = {("g", "1"), ("g", "3")}
    for worker in (first, second):
        eventually(lambda w=worker: w.backend.group_users("g") == {"1", "3", "é"})  # type: ignore[misc]
        assert worker.backend.group_users("2") == set()
    first.receiver.groups = {("g2", "1")}
    eventually(lambda: second.backend.group_users("g") == {"1", "3"})
    assert second.backend.group_users("g2") == {"1"}
    first.backend.stop()
    assert second.backend.group_users("g2") == set()


def test_a_worker_with_many_groups_publishes_all(start: Start) -> None:
    first, second = start(), start()
    pairs = {(f"g{number % 7}", str(number)) for number in range(2_500)}
    first.receiver.groups = set(pairs)
    in_3 = {user for group, user in pairs if group == "g3"}
    eventually(lambda: second.backend.group_users("g3") == in_3)
    first.receiver.groups = set()
    eventually(lambda: second.backend.group_users("g3") == set())


def told(*workers: Worker) -> list[tuple[str, bool]]:
    """What all workers together were told."""
    return [item for worker in workers for item in worker.receiver.told]


def test_one_worker_is_told_of_who_comes_and_goes(start: Start) -> None:
    workers = [start(presence_grace_seconds=0.5) for _ in range(3)]
    first, second, _ = workers
    for worker in workers:
        worker.receiver.users = {"1": 1}
    first.receiver.users["2"] = 1
    eventually(lambda: len(told(*workers)) >= 2)
    first.receiver.users = {}
    # Whoever leaves after the user that two workers still have is told of.
    eventually(lambda: ("2", False) in told(*workers))
    assert sorted(told(*workers)) == [("1", True), ("2", False), ("2", True)]
    for worker in workers:
        worker.receiver.users = {}
    eventually(lambda: ("1", False) in told(*workers))
    second.receiver.users = {"3": 1}
    eventually(lambda: ("3", True) in told(*workers))
    assert len(told(*workers)) == 5


def test_hundreds_who_come_at_once_are_each_told_of_once(start: Start) -> None:
    workers = [start(presence_grace_seconds=0.2) for _ in range(2)]
    users = {str(number) for number in range(1_300)}
    for worker in workers:
        worker.receiver.users = dict.fromkeys(users, 1)
    eventually(lambda: len(told(*workers)) >= 1_300)
    for worker in workers:
        worker.receiver.users = {}
    eventually(lambda: len(told(*workers)) >= 2_600)
    assert sorted(told(*workers)) == sorted(
        (user, is_online) for user in users for is_online in (True, False)
    )


def test_users_of_a_worker_that_stops_are_told_of_by_another(start: Start) -> None:
    stopping, other = (start(presence_grace_seconds=0.3) for _ in range(2))
    stopping.receiver.users = {"1": 1, "2": 1}
    eventually(lambda: len(told(stopping, other)) == 2)
    other.receiver.users = {"2": 1}
    eventually(lambda: stopping.backend.is_user_connected("2"))
    stopping.backend.stop()
    eventually(lambda: ("1", False) in other.receiver.told)
    assert ("2", False) not in told(stopping, other)


def test_users_of_a_killed_worker_are_told_of_by_one_of_the_others(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "_EXPIRY_SECONDS", 1.0)
    monkeypatch.setattr(presence, "_REFRESH_SECONDS", 0.3)
    dying, *others = (start(presence_grace_seconds=0.3) for _ in range(3))
    users = {str(number) for number in range(800)}
    dying.receiver.users = dict.fromkeys(users, 1)
    eventually(lambda: len(told(dying, *others)) == 800)
    # The last of them is on another worker as well.
    others[0].receiver.users = {"799": 1}
    eventually(lambda: others[1].backend.connected_users() == users)
    dying.backend._presence._stopped.set()
    before = len(told(*others))
    eventually(lambda: len(told(*others)) - before >= 799)
    gone = [user for user, is_online in told(*others) if not is_online]
    assert sorted(gone) == sorted(users - {"799"})
    eventually(lambda: others[1].backend.health()["workers"] == 2)


def test_a_worker_that_was_silent_too_long_says_all_of_it_again(
    start: Start, shared: RedisServer, prefix: str
) -> None:
    first, second = start(), start()
    first.receiver.users, first.receiver.groups = {"1": 1}, {("g", "1")}
    eventually(lambda: second.backend.group_users("g") == {"1"})
    worker = first.backend._presence._worker
    # As if its lease had run out while the process stood still.
    for kind in ("presence", "groups"):
        shared.command("DEL", f"{{{prefix}}}:{kind}:{worker}")
    first.backend._presence._refreshed = 0.0
    eventually(lambda: second.backend.is_user_connected("1"))
    eventually(lambda: second.backend.group_users("g") == {"1"})


def test_a_lost_answer_loses_no_signal(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start(presence_grace_seconds=0.2)
    run, losses = Server.run, 3

    def run_and_lose(server: Server, script: Script, *rest: Any) -> Any:
        nonlocal losses
        answer = run(server, script, *rest)
        if script is online._UPDATE and answer[1] and losses:
            losses -= 1
            raise BackendError("no answer")
        return answer

    monkeypatch.setattr(Server, "run", run_and_lose)
    worker.receiver.users = {"1": 1}
    eventually(lambda: worker.receiver.told == [("1", True)])
    assert losses == 0
    losses = 3
    worker.receiver.users = {"2": 1}
    eventually(lambda: len(worker.receiver.told) >= 3)
    assert sorted(worker.receiver.told[1:]) == [("1", False), ("2", True)]
    assert losses == 0


def test_presence_survives_a_server_that_comes_back_empty(
    server: RedisServer, start_on: Start
) -> None:
    first, second = (start_on(presence_grace_seconds=0.3) for _ in range(2))
    first.receiver.users = {"1": 1}
    eventually(lambda: second.backend.is_user_connected("1"))
    eventually(lambda: told(first, second) == [("1", True)])
    server.stop()
    server.erase()
    server.start()

    def is_known() -> bool:
        try:
            return second.backend.is_user_connected("1")
        except BackendError:
            return False

    eventually(is_known)
    # Nobody remembers that it was said before.
    eventually(lambda: told(first, second) == [("1", True), ("1", True)])
    first.receiver.users = {}
    eventually(lambda: told(first, second)[2:] == [("1", False)])
