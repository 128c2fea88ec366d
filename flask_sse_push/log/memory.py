"""The event log in the memory of one process: it needs no server, and is not saved."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ..config import Config
from ..events import (
    START,
    Channel,
    Entry,
    Event,
    Position,
    read_entry,
    user_channel,
)
from ..findings import Finding, ok
from ..runtime.concurrency import native_lock
from .backend import (
    Backend,
    Connected,
    RateWindows,
    Receiver,
    Tell,
    Unread,
    tell_nobody,
)
from .history import History
from .online import OnlineUsers
from .retained import Retained

# How many nonces are remembered, to recognize an event that is sent twice.
_MAX_NONCES = 10_000
# Memory for all mailboxes together, and for all retained events.
_MAILBOX_BYTES = _RETAINED_BYTES = 64 * 1024 * 1024


class MemoryBackend(Backend):
    """The backend of ``memory://``; ``append`` also hands events to the receiver."""

    remote = False

    def __init__(self, config: Config) -> None:
        self._lock = native_lock()
        self._receiver: Receiver | None = None
        self._connected: Connected | None = None
        self._online: OnlineUsers | None = None
        self._grace = config.presence_grace_seconds
        self._last: Position = (time.time_ns() // 1_000_000, 0)
        self._nonces: OrderedDict[str, Position] = OrderedDict()
        self._marks_unread = config.marks_unread
        self._has_mailboxes = config.mailbox_size > 0
        self._mailbox = History(
            size=max(config.mailbox_size, 1),
            seconds=config.mailbox_seconds,
            most_bytes=_MAILBOX_BYTES,
        )
        self._retained = Retained(
            size=config.retained_size,
            seconds=config.retained_seconds,
            most_bytes=_RETAINED_BYTES,
        )
        self._windows: RateWindows | None = None
        self._windows_pid = 0

    def start(
        self, receiver: Receiver, connected: Connected, tell: Tell = tell_nobody
    ) -> None:
        self._receiver = receiver
        self._connected = connected
        self._online = OnlineUsers(connected.take_arrivals, self._grace, tell)
        receiver.restart(self._last)

    def user_changed(self, user_id: str) -> None:
        if self._online is not None:
            self._online.changed()

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
            if len(self._nonces) > _MAX_NONCES:
                self._nonces.popitem(last=False)
        entry = read_entry(event, position, marks_unread=self._marks_unread)
        if self._has_mailboxes and isinstance(entry, Entry) and entry.mailbox:
            self._mailbox.add(entry)
        if event.retain is not None:
            # It is kept longer than in the mailbox, so its id is not marked as unread.
            self._retained.keep(event.at(position))
        if self._receiver is not None:
            self._receiver.deliver(entry)
        return position

    def unread(self, user_id: str, after: Position = START) -> Unread:
        channels = [user_channel(user_id)]
        with self._lock:
            self._mailbox.expire()
            floor = self._mailbox.floor(channels)
            return Unread(
                self._mailbox.after(channels, after),
                floor if floor > max(after, START) else None,
            )

    def acknowledge(self, user_id: str, up_to: Position) -> int:
        with self._lock:
            return self._mailbox.discard(user_channel(user_id), up_to)

    def acknowledge_ids(self, user_id: str, positions: Collection[Position]) -> int:
        with self._lock:
            return self._mailbox.discard_each(user_channel(user_id), positions)

    def retained(
        self, channels: Sequence[Channel], after: Position = START
    ) -> list[Entry]:
        with self._lock:
            return self._retained.after(channels, after)

    def client_count(self) -> int:
        return self._connected.client_count() if self._connected else 0

    def connected_users(self) -> set[str]:
        return set(self._connected.connections_by_user()) if self._connected else set()

    def is_user_connected(self, user_id: str) -> bool:
        return bool(self._connected and self._connected.is_user_connected(user_id))

    def group_users(self, group: str) -> set[str]:
        return self._connected.group_users(group) if self._connected else set()

    def rate_windows(self) -> RateWindows:
        # The storage starts a thread, which a forked process would not have, so each
        # process makes its own storage.
        if self._windows is None or self._windows_pid != os.getpid():
            from limits.storage import MemoryStorage  # noqa: PLC0415 (an extra)

            self._windows, self._windows_pid = MemoryStorage(), os.getpid()
        return self._windows

    def health(self) -> dict[str, Any]:
        return {"kind": "memory", "reachable": True}

    def check(self) -> Iterable[Finding]:
        return [
            ok("backend", "The event log is in memory, which allows for one worker.")
        ]

    def stop(self) -> None:
        self._receiver = None
