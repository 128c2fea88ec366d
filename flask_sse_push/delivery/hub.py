"""The hub of one process: it receives the event log and serves the connections."""

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
    Removal,
    encode_cursor,
    encode_gap,
    encode_retry,
)
from ..log import History, Unread
from ..runtime.concurrency import spawn
from ..runtime.shutdown import is_server_stopping
from .confirmations import Confirmations
from .connections import Connection
from .fanout import FanOut
from .heartbeat import Heartbeat
from .membership import Watch, Watches, apply_changes, was_member
from .registry import Registry
from .removals import Removals
from .resume import Resume

_log = logging.getLogger("flask_sse_push")
_NOTHING = Unread()


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection that has ended.

    :param reason: ``gone`` (the client left), ``overflow`` (it did not read fast
        enough), ``removed``, ``age``, ``shutdown`` or ``error``.
    :param carrier: ``handed-off`` or ``streamed``.
    :param duration: how long it was open, in seconds.
    """

    user_id: str | None
    channels: tuple[Channel, ...]
    carrier: str
    reason: str
    duration: float
    events: int
    bytes: int
    on_close: Callable[[], object] | None


class Hub:
    """The connections of one application in one process.

    The event log hands its entries to :meth:`deliver`. They are kept in the history and
    go through the fan-out to the connections.

    :param on_ended: called with connections that have ended, in another greenlet or
        thread than the fan-out.
    :param confirmations: collects the mailbox events that were delivered; ``None`` if
        clients acknowledge them.
    """

    def __init__(
        self,
        config: Config,
        on_ended: Callable[[Sequence[Ended]], None],
        confirmations: Confirmations | None = None,
    ) -> None:
        self.history = History(
            size=config.history_size,
            seconds=config.history_seconds,
            most_bytes=config.history_bytes,
        )
        self.registry = Registry()
        self.removals = Removals()
        #: The position of the newest entry that this process has read.
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
        self._confirmations = confirmations
        self._retry = encode_retry(config.retry_ms)

    def deliver(self, entry: Entry | Control) -> None:
        """Take the next entry of the event log."""
        with self._lock:
            self.position = entry.position
            if isinstance(entry, Entry) and entry.store:
                self.history.add(entry)
            elif isinstance(entry, Membership):
                self._watches.note(entry)
            elif isinstance(entry, Removal):
                self.removals.note(entry)
            if not self.registry.count:
                return
            self._fanout.put(entry)
        self._fanout.wake()

    def restart(self, base: Position) -> None:
        """Start at ``base``; entries before it are unknown to this process."""
        with self._lock:
            self.history.reset(base)
            self.position = base
            if not self.registry.count:
                return
            self._fanout.put(Gap(base))
        self._fanout.wake()

    def watch(self, user: Channel | None) -> Watch | None:
        """Collect the group changes of a user whose stream is being opened.

        :param user: the user's channel; ``None`` for an anonymous stream.
        """
        with self._lock:
            return self._watches.open(user)

    def register(
        self,
        connection: Connection,
        resume: Resume,
        missed: Unread = _NOTHING,
        watch: Watch | None = None,
    ) -> None:
        """Add a connection: it gets the missed events first, then all new ones.

        Both happen in one step under the lock, so that no event is lost in between.

        :param missed: events that the client has missed and that the history may not
            hold, such as the user's mailbox. The client is told of a gap if some of
            them were dropped.
        :param watch: the changes of the user's groups since they were looked up.
        :raises RuntimeError: the system cannot start a thread; close the connection.
        """
        with self._lock:
            replay = self._replay(connection, resume.cursor, watch)
            connection.groups_at = self.position
            self._load(connection, resume, missed, replay)
            self.registry.add(connection)
        self._fanout.start()
        self._heartbeat.start()
        if connection.has_mail:
            self.note_mail(connection)
        connection.begin()

    def _replay(
        self, connection: Connection, cursor: Position, watch: Watch | None
    ) -> list[Entry]:
        """The entries in the history for a connection, after applying group changes."""
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
        missed: Unread,
        replay: list[Entry],
    ) -> None:
        channels = connection.channels
        gap = b""
        floor = self.history.floor(channels)
        if resume.is_lost or resume.cursor < floor:
            floor = max(floor, resume.cursor)
            gap = encode_gap(resume.since, floor)
        elif missed.lost is not None:
            gap = encode_gap(resume.since, missed.lost)
        if missed.entries:
            # Entries that this process has not read yet are left out: they are
            # delivered when it reads them.
            known = [
                entry
                for entry in missed.entries
                if entry.position <= self.position and entry.channel in channels
            ]
            merged = {entry.position: entry for entry in (*known, *replay)}
            replay = [merged[position] for position in sorted(merged)]
        cursor = max(self.position, resume.cursor)
        start, end = cursor, b""
        if replay or gap:
            # Until it has received the rest, a client must not resume after it.
            start = resume.start(missed.lost, *(entry.position for entry in replay[:1]))
            # After the missed events its cursor must not be older than the floor, or it
            # would see the gap again. A new client must not resume from a retained
            # event, which may be old.
            if (
                not replay
                or replay[-1].position < floor
                or (resume.is_fresh and any(entry.retain for entry in replay))
            ):
                end = encode_cursor(cursor)
        opening = self._retry + encode_cursor(start) + gap
        connection.load(opening, replay, end, cursor, missed.lost)

    def note_mail(self, connection: Connection) -> None:
        """Watch the connection until its mailbox events have been delivered."""
        if self._confirmations is not None:
            self._confirmations.watch(connection)

    def unregister(
        self, connection: Connection, reason: str, delivered: Position | None
    ) -> None:
        """Remove a connection that has closed, and report it to ``on_ended``."""
        if self._confirmations is not None:
            self._confirmations.forget(connection, delivered)
        with self._lock:
            self.registry.remove(connection)
            self._ended.append(
                Ended(
                    user_id=connection.user_id,
                    channels=connection.channels,
                    carrier=connection.carrier,
                    reason=reason,
                    duration=time.monotonic() - connection.opened,
                    events=connection.events,
                    bytes=connection.bytes,
                    on_close=connection.take_on_close(),
                )
            )
            is_first = len(self._ended) == 1
            is_last = self.registry.count == 0
        # A connection may end inside a callback of gevent's event loop, which must not
        # block, but on_ended may block.
        if is_first:
            try:
                spawn(self._tell_ended)
            except RuntimeError:
                # The system cannot start a thread, for example at process exit.
                self._tell_ended()
        if is_last:
            self._fanout.wake()

    def shut_down(self) -> None:
        """Close all connections and accept no more; clients go to another worker."""
        self.is_shut_down = True
        for connection in self.registry.all():
            connection.say_closing("shutdown")

    def _tell_ended(self) -> None:
        with self._lock:
            ended, self._ended = self._ended, []
        try:
            self._on_ended(ended)
        except Exception:
            _log.exception("Reporting connections that have ended failed")

    def _visit(self) -> None:
        if is_server_stopping():
            self.shut_down()
        with self._lock:
            self.history.expire()
