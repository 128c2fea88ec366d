"""Who is connected to this process, and the ordered fan-out of the log to them."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from operator import attrgetter

from .concurrency import Wakeup, give_way, make_wakeup, native_lock, sleep, spawn
from .config import Config
from .connections import Connection
from .events import (
    ALL,
    CONTROL,
    START,
    Entry,
    Position,
    encode_comment,
    encode_cursor,
    encode_gap,
    encode_retry,
    format_id,
    parse_id,
    user_channel,
)
from .history import History
from .shutdown import is_server_stopping

_log = logging.getLogger("flask_sse_push")

_HEARTBEAT = encode_comment()
_position = attrgetter("position")
# Connections are dealt over slots. A heartbeat visits one slot at a time, so that even
# after a broadcast, which leaves all of them equally idle, heartbeats are spread.
_SLOTS = 16
# A connection is visited four times a period and gets a heartbeat after three quarters
# of it: never is it silent for longer than the period.
_VISITS = 4
# Seconds between two slots: often enough to see in time that the server stops.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
# Sends between two chances for other greenlets: about a millisecond of sending.
_SLICE = 128
# What one write to a connection joins: below what a socket's buffer takes at once.
_BATCH_BYTES = 32 * 1024
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

    The log's entries come in through :meth:`deliver`. One dispatcher takes them, in
    log order, to the connections; it runs only while there are any.

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
        self._lock = native_lock()
        self._slots: tuple[set[Connection], ...] = tuple(set() for _ in range(_SLOTS))
        self._count = 0
        # Users have few connections, groups many: a tuple of one is 170 bytes less
        # than a set, for every user.
        self._users: dict[str, tuple[Connection, ...]] = {}
        self._groups: dict[str, set[Connection]] = {}
        # Users' channels with connections more or less than when last asked; None
        # while nobody asks.
        self._changed: set[str] | None = None
        self._next_slot = cycle(range(_SLOTS))
        self._inbox: deque[Entry] = deque()
        self._wakeup: Wakeup  # made with the dispatcher, in the thread it runs in
        self._dispatching = False
        self._beating = False
        self._sent = 0
        self._ended: list[Ended] = []
        self._on_ended = on_ended
        self._retry = encode_retry(config.retry_ms)
        self._heartbeat_seconds = config.heartbeat_seconds
        self._max_age = config.max_connection_seconds

    # What the backend sees.

    def deliver(self, entry: Entry) -> None:
        with self._lock:
            self.position = entry.position
            if entry.channel != CONTROL and entry.store:
                self.history.add(entry)
            if not self._count:
                return
            self._inbox.append(entry)
        self._wakeup.set()

    def restart(self, base: Position) -> None:
        with self._lock:
            self.history.reset(base)
            self.position = base
            if not self._count:
                return
            lost = json.dumps({"gap": format_id(base)}).encode()
            self._inbox.append(Entry(base, CONTROL, lost))
        self._wakeup.set()

    def client_count(self) -> int:
        return self._count

    def connections_by_user(self) -> dict[str, int]:
        with self._lock:
            return {
                channel.removeprefix("user:"): len(connections)
                for channel, connections in self._users.items()
            }

    def take_changes(self) -> dict[str, int]:
        with self._lock:
            changed = self._users if self._changed is None else self._changed
            self._changed = set()
            return {
                channel.removeprefix("user:"): len(self._users.get(channel, ()))
                for channel in changed
            }

    def is_user_connected(self, user_id: str) -> bool:
        return user_channel(user_id) in self._users

    # What streams see.

    def user_connection_count(self, channel: str) -> int:
        """Open connections of one user, by the user's channel."""
        return len(self._users.get(channel, ()))

    def has_receivers(self, channel: str) -> bool:
        """Whether anybody is connected here to receive the channel's events."""
        if channel == ALL:
            return self._count > 0
        return channel in self._users or channel in self._groups

    def resume_from(self, last_event_id: str | None) -> Resume:
        """Read a client's ``Last-Event-ID``, of which nothing is assumed."""
        if not last_event_id:
            return Resume(self.position)
        cursor = parse_id(last_event_id)
        newest = max(self.position[0], time.time_ns() // 1_000_000)
        if cursor is None or cursor[0] > newest + _AHEAD_MS:
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
            connection.begin(first, replay)
            self._add(connection)

    def unregister(self, connection: Connection, reason: str) -> None:
        with self._lock:
            self._remove(connection)
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
            is_last = self._count == 0
        # A stream may end inside a callback of the event loop, where nothing may wait;
        # what is told of it may.
        if is_first:
            spawn(self._tell_ended)
        if is_last:
            self._wakeup.set()

    def shut_down(self) -> None:
        """End every stream, so that clients go to another worker; take no new ones."""
        self.is_shut_down = True
        for connection in self._all():
            connection.say_closing("shutdown")

    def _tell_ended(self) -> None:
        with self._lock:
            ended, self._ended = self._ended, []
        try:
            self._on_ended(ended)
        except Exception:
            _log.exception("Telling of ended streams failed")

    def _add(self, connection: Connection) -> None:
        connection.slot = next(self._next_slot)
        self._slots[connection.slot].add(connection)
        self._count += 1
        channel = connection.user_channel
        if channel is not None:
            self._users[channel] = (*self._users.get(channel, ()), connection)
            if self._changed is not None:
                self._changed.add(channel)
        for group in connection.groups:
            self._groups.setdefault(group, set()).add(connection)
        if not self._dispatching:
            self._dispatching = True
            self._wakeup = make_wakeup()
            spawn(self._dispatch)
        if not self._beating:
            self._beating = True
            spawn(self._beat)

    def _remove(self, connection: Connection) -> None:
        self._slots[connection.slot].discard(connection)
        self._count -= 1
        channel = connection.user_channel
        if channel is not None:
            if self._changed is not None:
                self._changed.add(channel)
            rest = tuple(c for c in self._users[channel] if c is not connection)
            if rest:
                self._users[channel] = rest
            else:
                del self._users[channel]
        for group in connection.groups:
            members = self._groups[group]
            members.discard(connection)
            if not members:
                del self._groups[group]

    def _all(self) -> Iterator[Connection]:
        """Every connection, slot by slot; some may close or open meanwhile."""
        for slot in self._slots:
            with self._lock:
                connections = tuple(slot)
            yield from connections
            give_way()

    # The dispatcher.

    def _dispatch(self) -> None:
        while True:
            try:
                while batch := self._take_batch():
                    self._fan_out(batch)
            except Exception:
                _log.exception("Dispatching events failed")
            with self._lock:
                if not self._count:
                    self._inbox.clear()
                    self._dispatching = False
                    return
            if not self._inbox:
                self._wakeup.wait()

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
                    for connection in self._receivers(entry.channel):
                        targeted.setdefault(connection, []).append(entry)
        now = time.monotonic()
        for connection, own in targeted.items():
            entries = sorted((*own, *broadcasts), key=_position) if broadcasts else own
            self._give(connection, entries, now)
        if broadcasts:
            self._broadcast(broadcasts, targeted, now)

    def _broadcast(
        self, entries: list[Entry], but: Container[Connection], now: float
    ) -> None:
        """Give all connections the same; what :meth:`_give` does, at its cheapest."""
        frame = b"".join([entry.frame for entry in entries])
        count, size = len(entries), len(frame)
        first, last = entries[0].position, entries[-1].position
        for connection in self._all():
            if connection in but:
                continue
            if connection.cursor >= first:
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
            self._sent += 1
            if self._sent >= _SLICE:
                self._breathe()

    def _receivers(self, channel: str) -> Iterable[Connection]:
        users = self._users.get(channel)
        if users is not None:
            return users
        with self._lock:
            return tuple(self._groups.get(channel, ()))

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
            for connection in self._users.get(removed, ()):
                connection.say_closing("removed")
        elif "gap" in message:
            now = time.monotonic()
            for connection in self._all():
                since = format_id(connection.cursor)
                gap = encode_gap(since, entry.position) + encode_cursor(entry.position)
                connection.cursor = max(connection.cursor, entry.position)
                connection.written = now
                connection.write(gap, ())

    def _beat(self) -> None:
        """Heartbeats to idle connections; an end to those that are too old.

        And to all, when the server wants to stop.
        """
        idle = self._heartbeat_seconds * (_VISITS - 1) / _VISITS
        pause = self._heartbeat_seconds / _VISITS / _SLOTS
        for slot in cycle(self._slots):
            sleep(min(max(pause, _SHORTEST_PAUSE), _LONGEST_PAUSE))
            if is_server_stopping():
                self.shut_down()
            now = time.monotonic()
            with self._lock:
                if not self._count:
                    self._beating = False
                    return
                connections = tuple(slot)
                self.history.expire()
            for connection in connections:
                if self._max_age and now - connection.opened >= self._max_age:
                    connection.say_closing("age")
                elif now - connection.written >= idle:
                    connection.written = now
                    connection.write(_HEARTBEAT, ())
