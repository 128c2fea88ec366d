"""One process's part of the event log: entries come in, connections get them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..config import Config
from ..events import (
    START,
    Channel,
    Control,
    Entry,
    Gap,
    Membership,
    Position,
    encode_cursor,
    encode_gap,
    encode_retry,
)
from ..log import History
from ..runtime.concurrency import spawn
from ..runtime.shutdown import is_server_stopping
from .connections import Connection
from .fanout import FanOut
from .heartbeat import Heartbeat
from .membership import Watch, Watches, apply_changes, was_member
from .registry import Registry
from .resume import Resume

_log = logging.getLogger("flask_sse_push")


@dataclass(frozen=True, slots=True)
class Ended:
    """A stream that has ended.

    :param reason: ``gone`` (the client left), ``overflow`` (it did not read),
        ``removed``, ``age``, ``shutdown`` or ``error``.
    :param duration: seconds.
    """

    user_id: str | None
    channels: tuple[Channel, ...]
    reason: str
    duration: float
    events: int
    bytes: int
    on_close: Callable[[], object] | None


class Hub:
    """The connections of one application in one process.

    The log's entries come in through :meth:`deliver`. They go into history, and through
    the fan-out to those who are connected.

    :param on_ended: told about streams that have ended, outside of the fan-out.
    """

    def __init__(
        self, config: Config, on_ended: Callable[[Sequence[Ended]], None]
    ) -> None:
        self.history = History(
            size=config.history_size,
            seconds=config.history_seconds,
            most_bytes=config.history_bytes,
        )
        self.registry = Registry()
        #: The newest entry of the log that this process has read.
        self.position: Position = START
        self.is_shut_down = False
        self._lock = self.registry.lock
        self._fanout = FanOut(self.registry)
        self._watches = Watches()
        self._heartbeat = Heartbeat(
            self.registry,
            config.heartbeat_seconds,
            config.max_connection_seconds,
            self._visit,
        )
        self._ended: list[Ended] = []
        self._on_ended = on_ended
        self._retry = encode_retry(config.retry_ms)

    def deliver(self, entry: Entry | Control) -> None:
        """Take the next entry of the log."""
        with self._lock:
            self.position = entry.position
            if isinstance(entry, Entry) and entry.store:
                self.history.add(entry)
            elif isinstance(entry, Membership):
                self._watches.note(entry)
            if not self.registry.count:
                return
            self._fanout.put(entry)
        self._fanout.wake()

    def restart(self, base: Position) -> None:
        """Begin at ``base``: nothing is known of what the log held before."""
        with self._lock:
            self.history.reset(base)
            self.position = base
            if not self.registry.count:
                return
            self._fanout.put(Gap(base))
        self._fanout.wake()

    def watch(self, user: Channel | None) -> Watch | None:
        """Note what changes from now on in the groups of a stream to be opened.

        :param user: whose stream; ``None`` for an anonymous one.
        """
        with self._lock:
            return self._watches.open(user)

    def register(
        self,
        connection: Connection,
        resume: Resume,
        missed: Sequence[Entry] = (),
        watch: Watch | None = None,
    ) -> None:
        """Let a connection in: what it has missed first, then all that comes.

        Both happen in one step, so that nothing falls in between.

        :param missed: what the client has missed and history may not hold, such as
            the user's mailbox.
        :param watch: what has changed in its groups since they were asked for.
        :raises RuntimeError: the system has no thread left; close the connection.
        """
        with self._lock:
            replay = self._replay(connection, resume.cursor, watch)
            connection.groups_at = self.position
            self._load(connection, resume, missed, replay)
            self.registry.add(connection)
        self._fanout.start()
        self._heartbeat.start()
        connection.begin()

    def _replay(
        self, connection: Connection, cursor: Position, watch: Watch | None
    ) -> list[Entry]:
        """What history has for a connection; changes of its groups are made."""
        if watch is None or not watch.changes:
            return self.history.after(connection.channels, cursor)
        loaded, changes = connection.groups, watch.changes
        connection.groups = apply_changes(loaded, changes)
        changed = {change.group for change in changes}
        return [
            entry
            for entry in self.history.after({*connection.channels, *changed}, cursor)
            if entry.channel not in changed
            or was_member(loaded, changes, entry.channel, entry.position)
        ]

    def _load(
        self,
        connection: Connection,
        resume: Resume,
        missed: Sequence[Entry],
        replay: list[Entry],
    ) -> None:
        channels = connection.channels
        opening = [self._retry]
        floor = self.history.floor(channels)
        if resume.is_lost or resume.cursor < floor:
            floor = max(floor, resume.cursor)
            opening.append(encode_gap(resume.since, floor))
        if missed:
            # What this process has not read yet comes in its turn.
            known = [
                entry
                for entry in missed
                if entry.position <= self.position and entry.channel in channels
            ]
            merged = {entry.position: entry for entry in (*known, *replay)}
            replay = [merged[position] for position in sorted(merged)]
        cursor = max(self.position, resume.cursor)
        end = b""
        # A client needs a cursor before its first event, and one that is not below the
        # floor after the last event that it has missed. Nor may it resume from an event
        # that was retained long ago: it would get what others have missed since.
        if not replay:
            opening.append(encode_cursor(cursor))
        elif replay[-1].position < floor or (
            resume.is_fresh and any(entry.retain for entry in replay)
        ):
            end = encode_cursor(cursor)
        connection.load(b"".join(opening), replay, end, cursor)

    def unregister(self, connection: Connection, reason: str) -> None:
        """Forget a connection that has closed, and tell about it."""
        with self._lock:
            self.registry.remove(connection)
            self._ended.append(
                Ended(
                    user_id=connection.user_id,
                    channels=connection.channels,
                    reason=reason,
                    duration=time.monotonic() - connection.opened,
                    events=connection.events,
                    bytes=connection.bytes,
                    on_close=connection.take_on_close(),
                )
            )
            is_first = len(self._ended) == 1
            is_last = self.registry.count == 0
        # A stream may end inside a callback of the event loop, where nothing may wait;
        # those who are told about it may.
        if is_first:
            try:
                spawn(self._tell_ended)
            except RuntimeError:
                # No thread is left, or none starts at the process's end.
                self._tell_ended()
        if is_last:
            self._fanout.wake()

    def shut_down(self) -> None:
        """End every stream, so that clients go to another worker; take no new ones."""
        self.is_shut_down = True
        for connection in self.registry.all():
            connection.say_closing("shutdown")

    def _tell_ended(self) -> None:
        with self._lock:
            ended, self._ended = self._ended, []
        try:
            self._on_ended(ended)
        except Exception:
            _log.exception("Telling about ended streams failed")

    def _visit(self) -> None:
        if is_server_stopping():
            self.shut_down()
        with self._lock:
            self.history.expire()
