"""The log of one process, in its memory: needs no service, ends with the process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from ..config import Config
from ..events import START, Entry, Event, Position, user_channel
from ..runtime.concurrency import native_lock
from .backend import Backend, Receiver
from .history import History

# Events known by their nonce, for those who send one twice.
_MOST_NONCES = 10_000
# Memory for all mailboxes together.
_MAILBOX_BYTES = 64 * 1024 * 1024


class MemoryBackend(Backend):
    """Appending is delivering: an event has its id when the call returns."""

    remote = False

    def __init__(self, config: Config) -> None:
        self._lock = native_lock()
        self._receiver: Receiver | None = None
        self._last: Position = (time.time_ns() // 1_000_000, 0)
        self._nonces: OrderedDict[str, Position] = OrderedDict()
        self._mailbox_size = config.mailbox_size
        self._mailbox = History(
            size=max(config.mailbox_size, 1),
            seconds=config.mailbox_seconds,
            most_bytes=_MAILBOX_BYTES,
        )

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        receiver.restart(self._last)

    def wait_ready(self, timeout: float) -> bool:
        return True

    def append(self, events: Sequence[Event]) -> list[Position]:
        with self._lock:
            return [self._append(event) for event in events]

    def _append(self, event: Event) -> Position:
        known = self._nonces.get(event.nonce) if event.nonce else None
        if known is not None:
            return known
        now = time.time_ns() // 1_000_000
        ms, seq = self._last
        position = self._last = (now, 0) if now > ms else (ms, seq + 1)
        if event.nonce:
            self._nonces[event.nonce] = position
            if len(self._nonces) > _MOST_NONCES:
                self._nonces.popitem(last=False)
        entry = event.at(position)
        if entry.store and self._mailbox_size and entry.channel.startswith("user:"):
            self._mailbox.add(entry)
        if self._receiver is not None:
            self._receiver.deliver(entry)
        return position

    def unread(self, user_id: str, after: Position = START) -> list[Entry]:
        with self._lock:
            self._mailbox.expire()
            return self._mailbox.after([user_channel(user_id)], after)

    def acknowledge(self, user_id: str, up_to: Position) -> int:
        with self._lock:
            return self._mailbox.discard(user_channel(user_id), up_to)

    def client_count(self) -> int:
        return self._receiver.client_count() if self._receiver else 0

    def connected_users(self) -> set[str]:
        return set(self._receiver.connections_by_user()) if self._receiver else set()

    def is_user_connected(self, user_id: str) -> bool:
        return bool(self._receiver and self._receiver.is_user_connected(user_id))

    def health(self) -> dict[str, Any]:
        return {"kind": "memory", "reachable": True}

    def stop(self) -> None:
        self._receiver = None
