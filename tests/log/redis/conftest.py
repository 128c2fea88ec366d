"""Redis servers, and the backends of several workers that use them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.log.redis.workers import Start, Worker
from tests.support.redis_server import RedisServer

_prefixes = (f"r{number}" for number in count())


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """A server shared by tests that do not stop or damage it."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server for one test, which may stop and restart it."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return next(_prefixes)


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    workers: list[Worker] = []
    yield workers
    for worker in workers:
        worker.backend.stop()


@pytest.fixture
def start(shared: RedisServer, prefix: str, workers: list[Worker]) -> Start:
    """Starts workers on the shared server."""

    def make(url: str = shared.url, **options: Any) -> Worker:
        worker = Worker(url, **{"key_prefix": prefix, **options})
        workers.append(worker)
        return worker.start()

    return make


@pytest.fixture
def start_on(server: RedisServer, start: Start) -> Start:
    """Starts workers on the test's own server."""

    def make(**options: Any) -> Worker:
        return start(server.url, **options)

    return make
