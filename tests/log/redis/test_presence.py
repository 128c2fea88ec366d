"""Presence: who is connected, over all workers."""

from __future__ import annotations

import pytest

from flask_sse_push.errors import BackendError
from flask_sse_push.log.redis import presence
from tests.log.redis.workers import Start, wait_for_clients
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


def test_presence_survives_a_server_that_comes_back_empty(
    server: RedisServer, start_on: Start
) -> None:
    first, second = start_on(), start_on()
    first.receiver.users = {"1": 1}
    eventually(lambda: second.backend.is_user_connected("1"))
    server.stop()
    server.erase()
    server.start()

    def is_known() -> bool:
        try:
            return second.backend.is_user_connected("1")
        except BackendError:
            return False

    eventually(is_known)
