"""The backends of several workers, within one process and on one server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask_sse_push.config import Config
from flask_sse_push.errors import BackendError
from flask_sse_push.events import Event
from flask_sse_push.log.redis import RedisBackend
from tests.support.clients import eventually
from tests.support.receiver import Recorder


class Worker:
    """Stands in for a worker process: its backend, and the entries it has received."""

    def __init__(self, url: str, **options: Any) -> None:
        self.receiver = Recorder()
        self.backend = RedisBackend(Config(backend_url=url, **options))

    def start(self) -> Worker:
        self.backend.start(self.receiver, self.receiver, self.receiver.tell)
        assert self.backend.wait_ready(5)
        return self

    @property
    def texts(self) -> list[str]:
        return self.receiver.texts


Start = Callable[..., Worker]


def send(worker: Worker, *texts: str, **options: Any) -> None:
    options.setdefault("mailbox", options.get("channel", "").startswith("user:"))
    worker.backend.append([Event(data=text, **options) for text in texts])


def send_when_possible(worker: Worker, text: str) -> None:
    """Append one event like the outbox: retry with the same nonce."""
    end = time.monotonic() + 8
    while True:
        try:
            return send(worker, text, nonce=f"once {text}")
        except BackendError:
            assert time.monotonic() < end
            time.sleep(0.02)


def wait_for_texts(worker: Worker, texts: list[str]) -> None:
    eventually(lambda: worker.texts == texts)


def wait_for_count(worker: Worker, count: int) -> None:
    eventually(lambda: len(worker.texts) == count)


def wait_for_restart(worker: Worker) -> None:
    """Wait for a gap after the start."""
    eventually(lambda: len(worker.receiver.restarts) >= 2)


def wait_for_clients(worker: Worker, count: int) -> None:
    """Wait for a condition for the promised two seconds."""
    eventually(lambda: worker.backend.client_count() == count, seconds=2)
