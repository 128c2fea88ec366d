"""The base of both kinds of connections: the client's channels, cursor and state."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

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
from .batch import Batch
from .delivered import (
    CLOSING_SECONDS,
    OPENING_SECONDS,
    SETTLE_SECONDS,
    Marks,
    newest_mail,
)
from .pending import CHUNK_BYTES, Pending
from .states import ClientEnd, ConnectionState

#: The channel of the stream's user (``None`` if anonymous), and those of its groups.
Receivers = tuple[Channel | None, tuple[Channel, ...]]


class Owner(Protocol):
    """The methods of the hub that a connection calls."""

    def unregister(
        self, connection: Connection, reason: str, delivered: Position | None
    ) -> None:
        """Remove a connection; called once, when it has closed.

        :param delivered: the newest mailbox event that was delivered to the client
            since the last call of :meth:`Connection.take_delivered`.
        """

    def note_mail(self, connection: Connection) -> None:
        """Call :meth:`Connection.take_delivered` regularly from now on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of every connection of a process.

    :param pending_bytes: the most bytes that may wait for a slow client.
    :param vanished_ms: how long TCP may leave sent bytes unacknowledged before the
        connection is closed, in milliseconds.
    :param confirms_mail: whether connections keep track of the mailbox events that were
        delivered.
    :param is_direct: whether the peer of the socket is the client itself and not a
        proxy.
    """

    pending_bytes: int
    vanished_ms: int
    confirms_mail: bool = False
    is_direct: bool = False


class Connection(ABC):
    """One open stream. It holds plain values and no request, session or user object.

    Only this class changes its cursor and its counts. The hub first calls :meth:`load`
    with the opening bytes, under the registry's lock, and then :meth:`begin`, without
    the lock. After ``load``, :meth:`deliver`, :meth:`deliver_one` and :meth:`send` may
    be called: their bytes are written after the opening bytes.

    :param user_channel: the user's channel; ``None`` for broadcasts only.
    :param groups: the channels of the groups that the connection has joined.
    """

    #: Seconds after which an event whose bytes were acknowledged counts as delivered.
    _settle_seconds: ClassVar[float] = SETTLE_SECONDS

    __slots__ = (
        "_limits",
        "_marks",
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

    #: How it reaches the client: ``handed-off`` or ``streamed``.
    carrier: ClassVar[str] = "streamed"

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
        self._marks: Marks | None = None
        self._on_close: Callable[[], object] | None = None
        self.user_channel = user_channel
        #: Only the registry changes it, when the user joins or leaves a group.
        self.groups = groups
        #: Joins and leaves up to this position have been applied to the groups.
        self.groups_at: Position = START
        #: All entries up to this position have been written, or wait to be written.
        self.cursor: Position = START
        #: The number of the registry's slot that holds this connection.
        self.slot = 0
        #: The numbers of events and bytes that have been written, or wait to be.
        self.events = 0
        self.bytes = 0
        #: When it opened and when it was last written to, on the monotonic clock.
        self.opened = self.written = time.monotonic()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} user={self.user_id!r} {self.state}>"

    @property
    def state(self) -> ConnectionState:
        """The connection's state."""
        if self._owner is None:
            return ConnectionState.CLOSED
        if self._pending:
            return ConnectionState.BEHIND
        return ConnectionState.OPEN if self.bytes else ConnectionState.NEW

    @property
    def is_open(self) -> bool:
        """Whether it can still be written to."""
        return self._owner is not None

    @property
    def user_id(self) -> str | None:
        """The user's id; ``None`` for an anonymous stream."""
        channel = self.user_channel
        return None if channel is None else channel_member(channel)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels whose events it gets."""
        if self.user_channel is None:
            return (ALL, *self.groups)
        return (ALL, self.user_channel, *self.groups)

    def load(
        self,
        opening: bytes,
        replay: Sequence[Entry],
        end: bytes,
        cursor: Position,
        lost: Position | None = None,
    ) -> None:
        """Set the bytes that the client gets first; :meth:`begin` writes them.

        Called under the registry's lock, so nothing is written here. The replay does
        not count against ``pending_bytes``: its frames are in memory already, and a
        slow client must be able to finish reading it.

        :param opening: bytes before the replay.
        :param replay: the entries that the client has missed.
        :param end: bytes after the replay.
        :param cursor: entries up to this position are not delivered again.
        :param lost: the newest event that the user's mailbox has dropped before it was
            delivered; the opening bytes tell the client of the gap.
        """
        opening = self._take_head() + opening
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
        mail = max(newest_mail(replay) or START, lost or START)
        if mail > START and self._limits.confirms_mail:
            # The hub watches it once the lock is released: that may start a thread.
            self._marks = Marks()
            self._marks.add(self.bytes, time.monotonic() + OPENING_SECONDS, mail)

    def _take_head(self) -> bytes:
        """The head of the response, if the connection writes it and not the server."""
        return b""

    @abstractmethod
    def begin(self) -> None:
        """Start writing the loaded bytes, and noticing when the client leaves."""

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
        if batch.mail is not None:
            self._mark(batch.mail, batch.time)
        self._write(batch.frame, batch.entries)

    def deliver_one(self, entry: Entry, now: float) -> None:
        """Write one entry, if it is new to the client, without making a batch.

        :param now: the current time, on the monotonic clock.
        """
        if self.cursor >= entry.position:
            return
        frame = entry.frame
        self.cursor = entry.position
        self.written = now
        self.events += 1
        self.bytes += len(frame)
        if entry.mailbox:
            self._mark(entry.position, now)
        self._write(frame, (entry,))

    def send(self, frame: bytes, now: float) -> None:
        """Write bytes that are not an entry, such as a heartbeat.

        :param now: the current time, on the monotonic clock.
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
        """Write bytes without waiting; keep those that cannot be written now.

        This never raises: a connection that fails, or on which too many bytes wait,
        closes itself.

        :param entries: the entries whose frames, joined, are ``frame``; empty for
            bytes that are not an entry.
        """

    @abstractmethod
    def _release(self) -> None:
        """Release the socket or the server's greenlet or thread."""

    def call_on_close(self, function: Callable[[], object]) -> None:
        """Set the function that is called when the connection has ended."""
        self._on_close = function

    def take_delivered(self, margin: float | None = None) -> Position | None:
        """The newest mailbox event that was delivered since the last call, if any.

        :param margin: seconds that must have passed since the event was written. The
            default is the time that is needed while the connection is open.
        """
        marks = self._marks
        if not marks:
            return None
        if margin is None:
            margin = self._settle_seconds
        return marks.take(self._acknowledged(), time.monotonic() - margin)

    def would_deliver_by_closing(self) -> bool:
        """Whether mailbox events would count as delivered if the client closed now."""
        marks = self._marks
        if not marks or not self.is_open:
            return False
        before = time.monotonic() - self._closing_seconds()
        return marks.has_any(self._acknowledged(), before)

    @property
    def has_mail(self) -> bool:
        """Whether mailbox events were written that may not have arrived yet."""
        return bool(self._marks)

    def _mark(self, position: Position, now: float) -> None:
        """Remember a mailbox event that ends with the bytes counted so far."""
        owner = self._owner
        if owner is None or not self._limits.confirms_mail:
            return
        marks = self._marks
        is_first = not marks
        if marks is None:
            marks = self._marks = Marks()
        marks.add(self.bytes, now, position)
        if is_first:
            owner.note_mail(self)

    def _closing_seconds(self) -> float:
        """Seconds that must lie between the writing of an event and the client's close.

        The event then counts as delivered.
        """
        return CLOSING_SECONDS

    @abstractmethod
    def _acknowledged(self) -> int:
        """The number of bytes of the stream that have arrived at the client."""

    def close(self, reason: str, end: ClientEnd | None = None) -> None:
        """Close the connection; calling this again does nothing.

        :param end: how the client has ended it; ``None`` if the server closes it.
        """
        owner, self._owner = self._owner, None
        if owner is not None:
            is_orderly = end is ClientEnd.CLOSED
            margin = self._closing_seconds() if is_orderly else self._settle_seconds
            delivered = self.take_delivered(margin)
            self._release()
            self._pending = None
            owner.unregister(self, reason, delivered)

    def say_closing(self, reason: str) -> None:
        """Tell the client the reason, and close the connection."""
        self.send(encode_closing(reason), time.monotonic())
        self.close(reason)

    def take_on_close(self) -> Callable[[], object] | None:
        """Return the function that :meth:`call_on_close` has set, and forget it."""
        function, self._on_close = self._on_close, None
        return function
