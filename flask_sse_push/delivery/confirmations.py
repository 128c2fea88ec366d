"""Emptying mailboxes of what has been delivered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping

from ..errors import BackendError
from ..events import START, Channel, Position, channel_member
from ..runtime.backoff import Backoff
from ..runtime.concurrency import Wakeup, make_wakeup, native_lock, sleep, spawn
from .connections import Connection

_log = logging.getLogger("flask_sse_push")

# Seconds between two looks at what was delivered: many events make one command.
_PAUSE = 0.25
# The longest wait, in seconds, when a user's next page opens a stream before the
# browser has closed the stream of the page before.
_HANDOVER = 0.25
_LOOK = 0.01
# Users whose confirmations wait while the backend cannot be reached. Above that number
# the oldest are dropped, and the events are delivered once more.
_MAX_WAITING = 100_000


class Confirmations:
    """Tells the backend, in batches, up to where users have got their mailbox events.

    It runs only while there is something to tell.

    :param acknowledge: removes events from mailboxes, by user id up to a position; it
        raises ``BackendError`` while the backend cannot be reached.
    """

    def __init__(self, acknowledge: Callable[[Mapping[str, Position]], None]) -> None:
        self._acknowledge = acknowledge
        self._lock = native_lock()
        self._watched: set[Connection] = set()
        self._waiting: dict[Channel, Position] = {}
        self._wakeup: Wakeup | None = None
        self._is_running = False

    def watch(self, connection: Connection) -> None:
        """Ask a connection now and then what its client has been given."""
        with self._lock:
            self._watched.add(connection)
        self._start()

    def confirm(self, user: Channel, position: Position) -> None:
        """Note that a user has been given everything up to a position."""
        with self._lock:
            newest = max(position, self._waiting.pop(user, START))
            self._waiting[user] = newest
            if len(self._waiting) > _MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
        self._start()

    def forget(self, connection: Connection, delivered: Position | None) -> None:
        """Stop asking a connection, which has closed.

        The backend is told at once: the user may be opening the next page, on another
        worker.

        :param delivered: what the connection's client has been given last.
        """
        with self._lock:
            self._watched.discard(connection)
        if delivered is not None and connection.user_channel is not None:
            self.confirm(connection.user_channel, delivered)
            wakeup = self._wakeup
            if wakeup is not None:
                wakeup.set()

    def up_to(self, user: Channel) -> Position:
        """The position up to which a user's events were delivered, if newly known.

        Waits a moment if a stream of the user that is still open would tell more by
        being closed: the user may be going from one page to the next.
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
        """Tell the backend what is certain by now.

        :raises BackendError: it cannot be reached; what was to be told still waits.
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
            if not connection.has_mail:
                with self._lock:
                    self._watched.discard(connection)
            if delivered is not None and connection.user_channel is not None:
                self.confirm(connection.user_channel, delivered)

    def _start(self) -> None:
        with self._lock:
            if self._is_running:
                return
            self._is_running = True
        try:
            spawn(self._run)
        except RuntimeError:
            # No thread is left. The next event tries again; until then the mailbox
            # only keeps what it holds.
            self._is_running = False

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
                _log.exception("Emptying mailboxes failed")
                sleep(backoff.take())
            else:
                backoff.reset()
            with self._lock:
                if not self._watched and not self._waiting:
                    self._wakeup = None
                    self._is_running = False
                    return
