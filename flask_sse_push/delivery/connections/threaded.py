"""Handed-off connections in a process with native threads, which share them."""

from __future__ import annotations

import _socket
import threading
from collections.abc import Sequence

from ...events import Channel, Entry, Position
from .base import Limits, Owner
from .batch import Batch
from .handed_off import HandedOffConnection
from .states import ClientEnd


class ThreadedConnection(HandedOffConnection):
    """A handed-off connection that one thread at a time can use.

    The threads are those of the fan-out, the heartbeat, the event loop and requests.
    The connection's lock may be taken before the registry's lock, but never while the
    registry's lock is held. ``load`` does not take it, because no other thread has the
    connection yet.
    """

    __slots__ = ("_lock",)

    def __init__(
        self,
        owner: Owner,
        limits: Limits,
        user_channel: Channel | None,
        groups: tuple[Channel, ...],
        taken: _socket.socket,
        head: bytes,
    ) -> None:
        super().__init__(owner, limits, user_channel, groups, taken, head)
        self._lock = threading.RLock()

    def begin(self) -> None:
        with self._lock:
            if self.is_open:
                super().begin()

    def deliver(self, batch: Batch) -> None:
        with self._lock:
            super().deliver(batch)

    def deliver_one(self, entry: Entry, now: float) -> None:
        with self._lock:
            super().deliver_one(entry, now)

    def send(self, frame: bytes, now: float) -> None:
        with self._lock:
            super().send(frame, now)

    def send_gap(self, base: Position, now: float) -> None:
        with self._lock:
            super().send_gap(base, now)

    def say_closing(self, reason: str) -> None:
        with self._lock:
            super().say_closing(reason)

    def take_delivered(self, margin: float | None = None) -> Position | None:
        # Without the lock, bytes could count as written that are only about to be.
        with self._lock:
            return super().take_delivered(margin)

    def would_deliver_by_closing(self) -> bool:
        with self._lock:
            return super().would_deliver_by_closing()

    def close(self, reason: str, end: ClientEnd | None = None) -> None:
        with self._lock:
            super().close(reason, end)

    def _write(self, frame: bytes, entries: Sequence[Entry]) -> None:
        # The connection may have closed while this thread waited for the lock.
        if self.is_open:
            super()._write(frame, entries)

    def _on_writable(self) -> None:
        with self._lock:
            if self.is_open:
                super()._on_writable()

    def _on_readable(self) -> None:
        with self._lock:
            if self.is_open:
                super()._on_readable()
