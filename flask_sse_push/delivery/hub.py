"""One process's part of the application: the log comes in, streams open and end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..config import Config
from ..events import (
    CONTROL,
    START,
    Entry,
    Position,
    encode_cursor,
    encode_gap,
    encode_retry,
    parse_id,
    user_channel,
)
from ..log.history import History
from ..runtime.concurrency import spawn
from ..runtime.shutdown import is_server_stopping
from .connections import Connection
from .fanout import Dispatcher
from .heartbeat import Heartbeat
from .registry import Registry

_log = logging.getLogger("flask_sse_push")

# How far ahead of this process a cursor may be, in milliseconds, when its client comes
# from a worker that has read more of the log, or whose clock is ahead.
_AHEAD_MS = 10_000


@dataclass(frozen=True, slots=True)
class Ended:
    """A stream that has ended.

    :param reason: ``gone`` (the client left), ``overflow`` (it did not read),
        ``removed``, ``age``, ``shutdown`` or ``error``.
    :param duration: seconds.
    """

    user_id: str | None
    reason: str
    duration: float
    events: int
    bytes: int
    on_close: Callable[[], object] | None


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a client goes on.

    :param cursor: everything after it is the client's to get.
    :param since: the id the client named, where it is one of ours.
    :param is_lost: whether it named one that says nothing here.
    :param is_fresh: whether it named none that can be resumed from.
    """

    cursor: Position
    since: str | None = None
    is_lost: bool = False
    is_fresh: bool = True


class Hub:
    """The connections of one application in one process.

    The log's entries come in through :meth:`deliver`, go into history, and to the
    dispatcher for those who are connected.

    :param on_ended: told of streams that have ended, outside of the fan-out.
    """

    def __init__(
        self, config: Config, on_ended: Callable[[Sequence[Ended]], None]
    ) -> None:
        self.history = History(
            size=config.history_size,
            seconds=config.history_seconds,
            most_bytes=config.history_bytes,
        )
        #: The newest entry of the log that this process has read.
        self.position: Position = START
        self.is_shut_down = False
        self._registry = Registry()
        self._lock = self._registry.lock
        self._dispatcher = Dispatcher(self._registry)
        self._heartbeat = Heartbeat(
            self._registry,
            config.heartbeat_seconds,
            config.max_connection_seconds,
            self._visit,
        )
        self._ended: list[Ended] = []
        self._on_ended = on_ended
        self._retry = encode_retry(config.retry_ms)
        # With the log in memory there is no other worker, only a clock set back.
        self._ahead_ms = 0 if config.is_memory else _AHEAD_MS

    # What the backend sees.

    def deliver(self, entry: Entry) -> None:
        with self._lock:
            self.position = entry.position
            if entry.channel != CONTROL and entry.store:
                self.history.add(entry)
            if not self._registry.count:
                return
            self._dispatcher.put(entry)
        self._dispatcher.wake()

    def restart(self, base: Position) -> None:
        with self._lock:
            self.history.reset(base)
            self.position = base
            if not self._registry.count:
                return
            self._dispatcher.put_gap(base)
        self._dispatcher.wake()

    def client_count(self) -> int:
        return self._registry.count

    def connections_by_user(self) -> dict[str, int]:
        return self._registry.users()

    def take_changes(self) -> dict[str, int]:
        return self._registry.take_changes()

    def is_user_connected(self, user_id: str) -> bool:
        return bool(self._registry.of_user(user_channel(user_id)))

    # What streams see.

    def user_connection_count(self, channel: str) -> int:
        """Open connections of one user, by the user's channel."""
        return len(self._registry.of_user(channel))

    def has_receivers(self, channel: str) -> bool:
        """Whether anybody is connected here to receive the channel's events."""
        return self._registry.has_any(channel)

    def resume_from(self, last_event_id: str | None) -> Resume:
        """Read a client's ``Last-Event-ID``, of which nothing is assumed."""
        if not last_event_id:
            return Resume(self.position)
        cursor = parse_id(last_event_id)
        newest = max(self.position[0], time.time_ns() // 1_000_000)
        if cursor is None or cursor[0] > newest + self._ahead_ms:
            return Resume(self.position, is_lost=True)
        return Resume(cursor, since=last_event_id, is_fresh=False)

    def register(
        self,
        connection: Connection,
        resume: Resume,
        head: bytes,
        unread: Sequence[Entry],
    ) -> None:
        """Let a connection in: what it has missed first, then all that comes.

        Both happen in one step, so that nothing falls in between.

        :param head: bytes that go out before all else.
        :param unread: what the user's mailbox holds for it.
        :raises RuntimeError: the system has no thread left; close the connection.
        """
        channels = connection.channels
        with self._lock:
            opening = [head, self._retry]
            floor = self.history.floor(channels)
            if resume.is_lost or resume.cursor < floor:
                floor = max(floor, resume.cursor)
                opening.append(encode_gap(resume.since, floor))
            replay = self.history.after(channels, resume.cursor)
            if unread:
                # What this process has not read yet comes in its turn.
                unread = [e for e in unread if e.position <= self.position]
                merged = {entry.position: entry for entry in (*unread, *replay)}
                replay = [merged[position] for position in sorted(merged)]
            connection.events = len(replay)
            connection.cursor = max(self.position, resume.cursor)
            # A client needs a cursor before its first event, and one that is not below
            # the floor after the last it has missed.
            cursor = encode_cursor(connection.cursor)
            if not replay:
                opening.append(cursor)
            elif replay[-1].position < floor:
                replay.append(Entry(connection.cursor, CONTROL, cursor))
            first = b"".join(opening)
            connection.bytes = len(first) + sum([len(entry.frame) for entry in replay])
            self._registry.add(connection)
            self._dispatcher.start()
            self._heartbeat.start()
            connection.begin(first, replay)

    def unregister(self, connection: Connection, reason: str) -> None:
        with self._lock:
            self._registry.remove(connection)
            self._ended.append(
                Ended(
                    user_id=connection.user_id,
                    reason=reason,
                    duration=time.monotonic() - connection.opened,
                    events=connection.events,
                    bytes=connection.bytes,
                    on_close=connection.take_on_close(),
                )
            )
            is_first = len(self._ended) == 1
            is_last = self._registry.count == 0
        # A stream may end inside a callback of the event loop, where nothing may wait;
        # what is told of it may.
        if is_first:
            try:
                spawn(self._tell_ended)
            except RuntimeError:
                # No thread is left, or none starts at the process's end.
                self._tell_ended()
        if is_last:
            self._dispatcher.wake()

    def shut_down(self) -> None:
        """End every stream, so that clients go to another worker; take no new ones."""
        self.is_shut_down = True
        for connection in self._registry.all():
            connection.say_closing("shutdown")

    def _tell_ended(self) -> None:
        with self._lock:
            ended, self._ended = self._ended, []
        try:
            self._on_ended(ended)
        except Exception:
            _log.exception("Telling of ended streams failed")

    def _visit(self) -> None:
        if is_server_stopping():
            self.shut_down()
        with self._lock:
            self.history.expire()
