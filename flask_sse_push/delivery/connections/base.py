"""What both carriers share: who the client is, how far it is, and how it ends."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ...events import (
    ALL,
    START,
    Channel,
    Entry,
    Position,
    channel_member,
    encode_closing,
    encode_cursor,
    encode_gap,
    format_id,
)
from .pending import CHUNK_BYTES, Pending


class Owner(Protocol):
    """The hub, as a connection sees it."""

    def unregister(self, connection: Connection, reason: str) -> None:
        """Forget a connection; called once, when it has closed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that all connections of a process share.

    :param pending_bytes: what may wait for one client that does not read.
    :param vanished_ms: how long sent bytes may stay unacknowledged by TCP.
    """

    pending_bytes: int
    vanished_ms: int


class State(StrEnum):
    """What a connection can be in."""

    #: Made, and not yet given the bytes it opens with.
    NEW = "new"
    #: The client has been given all there was.
    OPEN = "open"
    #: Bytes wait for the client.
    BEHIND = "behind"
    CLOSED = "closed"


class Batch:
    """Entries that go to a connection in one write, encoded once for all.

    :param entries: at least one, in log order.
    :param time: the moment of the write, on the monotonic clock.
    """

    __slots__ = ("count", "entries", "first", "frame", "last", "size", "time")

    def __init__(self, entries: Sequence[Entry], time: float) -> None:
        self.entries = entries
        self.time = time
        self.count = len(entries)
        self.first = entries[0].position
        self.last = entries[-1].position
        self.frame = b"".join([entry.frame for entry in entries])
        self.size = len(self.frame)

    def after(self, cursor: Position) -> Batch | None:
        """The part of the batch that is newer than a cursor, if any is."""
        newer = [entry for entry in self.entries if entry.position > cursor]
        return Batch(newer, self.time) if newer else None


class Connection(ABC):
    """One open stream. Plain values only: no request, no session, no user object.

    Its cursor and its counts change here and nowhere else. The hub first has it
    :meth:`load` the opening bytes, under the registry's lock, and then :meth:`begin` to
    write, without the lock. Once loaded, it takes :meth:`deliver`,
    :meth:`deliver_one` and :meth:`send`: what these are given waits behind the opening
    bytes.

    :param user_channel: whose stream it is; ``None`` gets broadcasts only.
    :param groups: the channels of the groups it is in.
    """

    __slots__ = (
        "_limits",
        "_on_close",
        "_owner",
        "_pending",
        "bytes",
        "cursor",
        "events",
        "groups",
        "groups_at",
        "opened",
        "slot",
        "user_channel",
        "written",
    )

    def __init__(
        self,
        owner: Owner,
        limits: Limits,
        user_channel: Channel | None,
        groups: tuple[Channel, ...],
    ) -> None:
        self._owner: Owner | None = owner
        self._limits = limits
        self._pending: Pending | None = None
        self._on_close: Callable[[], object] | None = None
        self.user_channel = user_channel
        #: Changed by the registry alone, when the user joins a group or leaves it.
        self.groups = groups
        #: Joins and leaves up to here are in the groups already.
        self.groups_at: Position = START
        #: All entries up to here have been written, or the client had them before.
        self.cursor: Position = START
        #: The registry's slot that holds it.
        self.slot = 0
        #: Events and bytes written or waiting to be.
        self.events = 0
        self.bytes = 0
        #: When it opened and when it was last written to, on the monotonic clock.
        self.opened = self.written = time.monotonic()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} user={self.user_id!r} {self.state}>"

    @property
    def state(self) -> State:
        """What the connection is in."""
        if self._owner is None:
            return State.CLOSED
        if self._pending:
            return State.BEHIND
        return State.OPEN if self.bytes else State.NEW

    @property
    def is_open(self) -> bool:
        """Whether it can still be written to."""
        return self._owner is not None

    @property
    def user_id(self) -> str | None:
        """The user's id."""
        channel = self.user_channel
        return None if channel is None else channel_member(channel)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels whose events it gets."""
        if self.user_channel is None:
            return (ALL, *self.groups)
        return (ALL, self.user_channel, *self.groups)

    def load(
        self, opening: bytes, replay: Sequence[Entry], end: bytes, cursor: Position
    ) -> None:
        """Take what the client gets first; :meth:`begin` writes it.

        Called under the registry's lock, so nothing is written here. The replay does
        not count against ``pending_bytes``: its frames are in memory already, and a
        client that needs long to read it must be able to finish.

        :param opening: bytes before the replay.
        :param replay: what the client has missed.
        :param end: bytes after the replay.
        :param cursor: entries up to here are not to be delivered any more.
        """
        pending = Pending(self._limits.pending_bytes)
        frames = [entry.frame for entry in replay]
        joined = b"".join([opening, *frames, end])
        if len(joined) <= CHUNK_BYTES:
            pending.add(joined)
        else:
            pending.add(opening)
            pending.add_entries(replay)
            pending.add(end)
        pending.limit += pending.size
        self._pending = pending
        self.cursor = cursor
        self.events = len(replay)
        self.bytes = pending.size

    @abstractmethod
    def begin(self) -> None:
        """Start to write what was loaded, and to notice a client that leaves."""

    def deliver(self, batch: Batch) -> None:
        """Write those entries of a batch that are new to the client."""
        if self.cursor >= batch.first:
            newer = batch.after(self.cursor)
            if newer is None:
                return
            batch = newer
        self.cursor = batch.last
        self.written = batch.time
        self.events += batch.count
        self.bytes += batch.size
        self._write(batch.frame, batch.entries)

    def deliver_one(self, entry: Entry, now: float) -> None:
        """Write an entry, if it is new to the client: one alone needs no batch.

        :param now: the moment, on the monotonic clock.
        """
        if self.cursor >= entry.position:
            return
        frame = entry.frame
        self.cursor = entry.position
        self.written = now
        self.events += 1
        self.bytes += len(frame)
        self._write(frame, (entry,))

    def send(self, frame: bytes, now: float) -> None:
        """Write bytes that are not an entry's, such as a heartbeat.

        :param now: the moment, on the monotonic clock.
        """
        self.written = now
        self.bytes += len(frame)
        self._write(frame, ())

    def send_gap(self, base: Position, now: float) -> None:
        """Tell the client that entries before ``base`` may be missing."""
        gap = encode_gap(format_id(self.cursor), base) + encode_cursor(base)
        self.cursor = max(self.cursor, base)
        self.send(gap, now)

    @abstractmethod
    def _write(self, frame: bytes, entries: Sequence[Entry]) -> None:
        """Write bytes without waiting; what the client does not take is kept.

        Never raises: a connection that fails, or keeps too much, closes itself.

        :param entries: the entries whose frames, joined, are ``frame``; empty for
            bytes that are not an entry's.
        """

    @abstractmethod
    def _release(self) -> None:
        """Let go of the client."""

    def call_on_close(self, function: Callable[[], object]) -> None:
        """Have a function called when the stream has ended."""
        self._on_close = function

    def close(self, reason: str) -> None:
        """End the stream; calling it again does nothing."""
        owner, self._owner = self._owner, None
        if owner is not None:
            self._release()
            self._pending = None
            owner.unregister(self, reason)

    def say_closing(self, reason: str) -> None:
        """Tell the client why, and end the stream."""
        self.send(encode_closing(reason), time.monotonic())
        self.close(reason)

    def take_on_close(self) -> Callable[[], object] | None:
        """The function to call now that the stream has ended."""
        function, self._on_close = self._on_close, None
        return function
