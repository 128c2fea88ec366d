"""The ordered fan-out: from the log's entries to the connections they are for."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Collection
from operator import attrgetter

from ..events import (
    ALL,
    CONTROL,
    Entry,
    Position,
    encode_cursor,
    encode_gap,
    format_id,
    user_channel,
)
from ..runtime.concurrency import Wakeup, give_way, make_wakeup, spawn
from .connections import Connection
from .registry import Registry

_log = logging.getLogger("flask_sse_push")

_position = attrgetter("position")
# Sends between two chances for other greenlets: about a millisecond of sending.
_SLICE = 128
# What one write to a connection joins: below what a socket's buffer takes at once.
_BATCH_BYTES = 32 * 1024


class Dispatcher:
    """Takes entries, in log order, to the connections, as long as there are any."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._inbox: deque[Entry] = deque()
        self._wakeup: Wakeup | None = None
        self._is_running = False
        self._sent = 0

    def start(self) -> None:
        """Begin, if it does not run already. Under the registry's lock.

        :raises RuntimeError: the system has no thread left.
        """
        if not self._is_running:
            self._wakeup = None
            spawn(self._run)
            self._is_running = True

    def put(self, entry: Entry) -> None:
        """Hand over the next entry; :meth:`wake` follows. Under the registry's lock."""
        self._inbox.append(entry)

    def put_gap(self, base: Position) -> None:
        """Tell every connection that what came before ``base`` may be missing."""
        self.put(Entry(base, CONTROL, json.dumps({"gap": format_id(base)}).encode()))

    def wake(self) -> None:
        """Have it look at what was put, and whether there are connections left."""
        wakeup = self._wakeup
        if wakeup is not None:
            wakeup.set()

    def _run(self) -> None:
        # Made where it is waited for, and before the first look at the inbox.
        wakeup = self._wakeup = make_wakeup()
        while True:
            try:
                while batch := self._take_batch():
                    self._fan_out(batch)
                    # A batch is many events: their clients may need to be written to.
                    self._breathe()
            except Exception:
                _log.exception("Dispatching events failed")
            with self._registry.lock:
                if not self._registry.count:
                    self._inbox.clear()
                    self._is_running = False
                    return
            if not self._inbox:
                wakeup.wait()

    def _take_batch(self) -> list[Entry]:
        """What waits, up to what one write takes; control messages come alone."""
        batch: list[Entry] = []
        size = 0
        while self._inbox and size < _BATCH_BYTES:
            if self._inbox[0].channel == CONTROL:
                if not batch:
                    self._obey(self._inbox.popleft())
                    continue
                break
            entry = self._inbox.popleft()
            batch.append(entry)
            size += len(entry.frame)
        return batch

    def _fan_out(self, batch: list[Entry]) -> None:
        """Give each connection what of the batch is its own, in one write."""
        broadcasts = [entry for entry in batch if entry.channel == ALL]
        targeted: dict[Connection, list[Entry]] = {}
        if len(broadcasts) < len(batch):
            for entry in batch:
                if entry.channel != ALL:
                    for connection in self._registry.on(entry.channel):
                        targeted.setdefault(connection, []).append(entry)
        now = time.monotonic()
        for connection, own in targeted.items():
            entries = sorted((*own, *broadcasts), key=_position) if broadcasts else own
            self._give(connection, entries, now)
        if broadcasts:
            self._broadcast(broadcasts, targeted, now)

    def _broadcast(
        self, entries: list[Entry], but: Collection[Connection], now: float
    ) -> None:
        """Give all connections the same; what :meth:`_give` does, at its cheapest."""
        frame = b"".join([entry.frame for entry in entries])
        count, size = len(entries), len(frame)
        first, last = entries[0].position, entries[-1].position
        for connections in self._registry.slices(_SLICE):
            for connection in connections:
                if connection.cursor >= first or (but and connection in but):
                    if connection not in but:
                        self._give(connection, entries, now)
                    continue
                connection.cursor = last
                connection.written = now
                connection.events += count
                connection.bytes += size
                try:
                    connection.write(frame, entries)
                except Exception:
                    self._fail(connection)
            self._breathe()

    def _give(self, connection: Connection, entries: list[Entry], now: float) -> None:
        """Give a connection those of the entries that are new to it."""
        if connection.cursor >= entries[0].position:
            entries = [e for e in entries if e.position > connection.cursor]
            if not entries:
                return
        frame = b"".join([entry.frame for entry in entries])
        connection.cursor = entries[-1].position
        connection.written = now
        connection.events += len(entries)
        connection.bytes += len(frame)
        try:
            connection.write(frame, entries)
        except Exception:
            self._fail(connection)
        self._sent += 1
        if self._sent >= _SLICE:
            self._breathe()

    def _fail(self, connection: Connection) -> None:
        """End a connection whose carrier is at fault, which is no other's."""
        _log.exception("Writing to a connection failed")
        connection.close("error")

    def _breathe(self) -> None:
        """Let others run: requests, above all."""
        self._sent = 0
        give_way()

    def _obey(self, entry: Entry) -> None:
        try:
            message = json.loads(entry.frame)
            removed = user_channel(message["remove"]) if "remove" in message else None
        except (ValueError, TypeError):
            _log.warning("A control message cannot be read: %r", entry.frame[:200])
            return
        if removed is not None:
            for connection in self._registry.of_user(removed):
                connection.say_closing("removed")
        elif "gap" in message:
            now = time.monotonic()
            for connection in self._registry.all():
                since = format_id(connection.cursor)
                gap = encode_gap(since, entry.position) + encode_cursor(entry.position)
                connection.cursor = max(connection.cursor, entry.position)
                connection.written = now
                connection.write(gap, ())
