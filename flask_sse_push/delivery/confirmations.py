"""Removes events that have been delivered from mailboxes."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping

from ..errors import BackendError
from ..events import START, Channel, Position, channel_member
from ..runtime.backoff import Backoff
from ..runtime.concurrency import Wakeup, make_wakeup, native_lock, sleep
from ..runtime.task import BackgroundTask
from .connections import Connection

_log = logging.getLogger("flask_sse_push")

# Seconds between two checks of what was delivered, so that one command covers many
# events.
_PAUSE = 0.25
# The longest wait, in seconds, when a user's next page opens a stream before the
# browser has closed the stream of the previous page.
_HANDOVER = 0.25
# Seconds between two checks during this wait.
_LOOK = 0.01
# The most users whose confirmations wait while the backend cannot be reached. Beyond
# it, the oldest are dropped, and their events are delivered again.
_MAX_WAITING = 100_000


class Confirmations:
    """Reports to the backend, in batches, which mailbox events users have received.

    It runs only while there is something to report.

    :param acknowledge: takes positions by user id, and removes the events up to them
        from the mailboxes. It raises ``BackendError`` if the backend cannot be reached.
    """

    def __init__(self, acknowledge: Callable[[Mapping[str, Position]], None]) -> None:
        self._acknowledge = acknowledge
        self._lock = native_lock()
        self._watched: set[Connection] = set()
        self._waiting: dict[Channel, Position] = {}
        self._wakeup: Wakeup | None = None
        self._task = BackgroundTask(self._run, self._lock)

    def watch(self, connection: Connection) -> None:
        """Check regularly what has been delivered on a connection."""
        with self._lock:
            self._watched.add(connection)
        self._start()

    def confirm(self, user: Channel, position: Position) -> None:
        """Note that a user has received all events up to a position."""
        with self._lock:
            newest = max(position, self._waiting.pop(user, START))
            self._waiting[user] = newest
            if len(self._waiting) > _MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
        self._start()

    def forget(self, connection: Connection, delivered: Position | None) -> None:
        """Stop checking a connection, which has closed.

        The backend is told at once, because the user may be opening the next page on
        another worker.

        :param delivered: the newest event that was delivered on the connection;
            ``None`` if there is none.
        """
        with self._lock:
            self._watched.discard(connection)
        if delivered is not None and connection.user_channel is not None:
            self.confirm(connection.user_channel, delivered)
            wakeup = self._wakeup
            if wakeup is not None:
                wakeup.set()

    def up_to(self, user: Channel) -> Position:
        """The position up to which a user's events are known to be delivered.

        If closing a stream of the user that is still open would prove more deliveries,
        this waits up to 0.25 seconds for it: the user may be going from one page to the
        next.

        :returns: ``START`` if there is nothing that the backend has not been told yet.
        """
        if not self._watched:
            return self._waiting.get(user, START)
        end = time.monotonic() + _HANDOVER
        while any(
            connection.user_channel == user and connection.would_deliver_by_closing()
            for connection in self._snapshot()
        ):
            if time.monotonic() >= end:
                break
            sleep(_LOOK)
        self._collect(c for c in self._snapshot() if c.user_channel == user)
        return self._waiting.get(user, START)

    def flush(self) -> None:
        """Tell the backend about all deliveries that are certain now.

        :raises BackendError: it cannot be reached; the next call tries again.
        """
        self._collect(self._snapshot())
        with self._lock:
            waiting = dict(self._waiting)
        if not waiting:
            return
        self._acknowledge({channel_member(u): p for u, p in waiting.items()})
        with self._lock:
            for user, position in waiting.items():
                if self._waiting.get(user) == position:
                    del self._waiting[user]

    def _snapshot(self) -> tuple[Connection, ...]:
        with self._lock:
            return tuple(self._watched)

    def _collect(self, connections: Iterable[Connection]) -> None:
        for connection in connections:
            delivered = connection.take_delivered()
            # One that has closed has told its last deliveries.
            if not connection.has_mail or not connection.is_open:
                with self._lock:
                    self._watched.discard(connection)
            if delivered is not None and connection.user_channel is not None:
                self.confirm(connection.user_channel, delivered)

    def _start(self) -> None:
        # If the system cannot start a thread, the next mailbox event tries again; until
        # then, the mailboxes keep what was delivered.
        with contextlib.suppress(RuntimeError):
            self._task.start()

    def _run(self) -> None:
        wakeup = self._wakeup = make_wakeup()
        backoff = Backoff()
        while True:
            wakeup.wait(_PAUSE)
            try:
                self.flush()
            except BackendError:
                sleep(backoff.take())
            except Exception:
                _log.exception("Removing delivered events from mailboxes failed")
                sleep(backoff.take())
            else:
                backoff.reset()
            with self._lock:
                if not self._watched and not self._waiting:
                    self._wakeup = None
                    self._task.end()
                    return
