"""The fan-out: hands each entry of the event log to its connections, in order."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Collection
from operator import attrgetter

from ..events import ALL, Control, Entry, Gap, Membership, Removal
from ..runtime.concurrency import Wakeup, give_way, make_wakeup
from ..runtime.task import BackgroundTask
from .connections import Batch, Connection
from .registry import Registry

_log = logging.getLogger("flask_sse_push")

_position = attrgetter("position")
# Writes between two pauses in which other greenlets run: about a millisecond.
_SLICE = 128
# The most bytes that one write joins: less than a socket's buffer holds.
_BATCH_BYTES = 32 * 1024


class FanOut:
    """Delivers entries to the connections in log order, as long as any is open."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._inbox: deque[Entry | Control | Gap] = deque()
        self._wakeup: Wakeup | None = None
        self._task = BackgroundTask(self._run, registry.lock)
        self._written = 0

    def start(self) -> None:
        """Start delivering, unless it runs already.

        :raises RuntimeError: the system cannot start another thread.
        """
        self._task.start()

    def put(self, entry: Entry | Control | Gap) -> None:
        """Queue the next entry. Call this under the registry's lock, then wake()."""
        self._inbox.append(entry)

    def wake(self) -> None:
        """Deliver the queued entries, or stop if no connection is left."""
        wakeup = self._wakeup
        if wakeup is not None:
            wakeup.set()
        elif not self._task.is_running and self._registry.count:
            # The thread could not be started when an earlier connection opened.
            try:
                self.start()
            except RuntimeError:
                _log.exception(
                    "Events are not delivered yet: the system cannot start a thread"
                )

    def _run(self) -> None:
        # Made by the thread or greenlet that waits on it, before it reads the inbox.
        wakeup = self._wakeup = make_wakeup()
        while True:
            try:
                while batch := self._take_batch():
                    self._fan_out(batch)
                    # A batch may hold many events: other greenlets must run in between.
                    self._breathe()
            except Exception:
                _log.exception("An unexpected error occurred while delivering events")
            with self._registry.lock:
                if not self._registry.count:
                    self._inbox.clear()
                    self._wakeup = None
                    self._task.end()
                    return
            if not self._inbox:
                wakeup.wait()

    def _take_batch(self) -> list[Entry]:
        """The queued entries, up to the size of one write.

        Control entries and gaps are handled in order, between two batches.
        """
        batch: list[Entry] = []
        size = 0
        while self._inbox and size < _BATCH_BYTES:
            entry = self._inbox[0]
            if isinstance(entry, Entry):
                batch.append(entry)
                size += len(entry.frame)
            elif batch:
                break
            else:
                self._obey(entry)
            self._inbox.popleft()
        return batch

    def _fan_out(self, entries: list[Entry]) -> None:
        """Write to each connection the entries of its own channels, in one write."""
        broadcasts = [entry for entry in entries if entry.channel == ALL]
        targeted: dict[Connection, list[Entry]] = {}
        if len(broadcasts) < len(entries):
            for entry in entries:
                if entry.channel != ALL:
                    for connection in self._registry.on(entry.channel):
                        targeted.setdefault(connection, []).append(entry)
        now = time.monotonic()
        for connection, own in targeted.items():
            try:
                if broadcasts:
                    mixed = sorted((*own, *broadcasts), key=_position)
                    connection.deliver(Batch(mixed, now))
                elif len(own) > 1:
                    connection.deliver(Batch(own, now))
                else:
                    connection.deliver_one(own[0], now)
            except Exception:
                self._fail(connection)
            self._written += 1
            if self._written >= _SLICE:
                self._breathe()
        if broadcasts:
            self._broadcast(Batch(broadcasts, now), targeted)

    def _broadcast(self, batch: Batch, but: Collection[Connection]) -> None:
        for connections in self._registry.slices(_SLICE):
            for connection in connections:
                if but and connection in but:
                    continue
                try:
                    connection.deliver(batch)
                except Exception:
                    self._fail(connection)
            self._breathe()

    def _fail(self, connection: Connection) -> None:
        """Close a connection that raised an unexpected error; the others go on."""
        _log.exception("Writing to a connection failed; the connection is closed")
        connection.close("error")

    def _breathe(self) -> None:
        """Let other greenlets run, such as those that answer requests."""
        self._written = 0
        give_way()

    def _obey(self, entry: Control | Gap) -> None:
        if isinstance(entry, Membership):
            self._registry.change_groups(entry)
        elif isinstance(entry, Removal):
            for connection in self._registry.of_user(entry.user):
                connection.say_closing("removed")
        else:
            now = time.monotonic()
            for connection in self._registry.all():
                connection.send_gap(entry.position, now)
