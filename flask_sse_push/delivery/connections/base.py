"""What both carriers share: who the client is, where it stands, what it waits for."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...events import ALL, START, Entry, Position, encode_closing

# As much as one write takes of what waits: about what a socket's buffer holds.
CHUNK_BYTES = 64 * 1024


class Hub(Protocol):
    """The hub, as a connection sees it."""

    def unregister(self, connection: Connection, reason: str) -> None:
        """Forget a connection; called once, when it has closed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that all connections of a hub share.

    :param pending_bytes: what may wait for one client that does not read.
    :param vanished_ms: how long sent bytes may stay unacknowledged by TCP.
    """

    pending_bytes: int
    vanished_ms: int


class Pending:
    """Frames that wait for a client, in order.

    Of several frames with one ``coalesce`` key only the newest waits, at its own place
    in the order, so that ids still grow.
    """

    __slots__ = ("_chunks", "_serial", "limit", "size")

    def __init__(self, limit: int) -> None:
        self._chunks: OrderedDict[int | tuple[str, str], bytes] = OrderedDict()
        self._serial = 0
        self.limit = limit
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    @property
    def overflows(self) -> bool:
        """Whether more waits than may."""
        return self.size > self.limit

    def add(self, frame: bytes) -> None:
        """Append bytes that are nobody's replacement."""
        self._serial += 1
        self._chunks[self._serial] = frame
        self.size += len(frame)

    def append(self, frame: bytes, entries: Sequence[Entry]) -> None:
        """Append what :meth:`Connection.write` was given."""
        if entries:
            self.add_entries(entries)
        else:
            self.add(frame)

    def add_entries(self, entries: Sequence[Entry]) -> None:
        """Append the entries' frames."""
        for entry in entries:
            if entry.coalesce is None:
                self.add(entry.frame)
            else:
                key = (entry.channel, entry.coalesce)
                self.size -= len(self._chunks.pop(key, b""))
                self._chunks[key] = entry.frame
                self.size += len(entry.frame)

    def take(self) -> bytes:
        """Remove and return the first frames, joined to about one chunk."""
        taken: list[bytes] = []
        size = 0
        while self._chunks and size < CHUNK_BYTES:
            _, frame = self._chunks.popitem(last=False)
            taken.append(frame)
            size += len(frame)
        self.size -= size
        return b"".join(taken)

    def put_back(self, rest: bytes) -> None:
        """Return what a write did not take; it goes first again."""
        # Serial numbers grow from 1, so 0 is free; one rest exists at a time.
        self._chunks[0] = rest
        self._chunks.move_to_end(0, last=False)
        self.size += len(rest)


class Connection(ABC):
    """One open stream. Plain values only: no request, no session, no user object.

    :param user_id: whose stream it is; ``None`` gets broadcasts only.
    :param groups: the groups' channels it stands on.
    """

    __slots__ = (
        "_hub",
        "_limits",
        "_on_close",
        "_pending",
        "bytes",
        "cursor",
        "events",
        "groups",
        "opened",
        "slot",
        "user_channel",
        "written",
    )

    def __init__(
        self,
        hub: Hub,
        limits: Limits,
        user_channel: str | None,
        groups: tuple[str, ...],
    ) -> None:
        self._hub: Hub | None = hub
        self._limits = limits
        self._pending: Pending | None = None
        self._on_close: Callable[[], object] | None = None
        self.user_channel = user_channel
        self.groups = groups
        #: Everything up to here has been written or was before its time.
        self.cursor: Position = START
        self.slot = 0
        self.events = 0
        self.bytes = 0
        #: When it opened and when it was last written to, on the monotonic clock.
        self.opened = self.written = time.monotonic()

    @property
    def user_id(self) -> str | None:
        """The user's id."""
        return self.user_channel and self.user_channel.removeprefix("user:")

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels it stands on."""
        if self.user_channel is None:
            return (ALL, *self.groups)
        return (ALL, self.user_channel, *self.groups)

    @property
    def is_open(self) -> bool:
        """Whether it can still be written to."""
        return self._hub is not None

    @abstractmethod
    def begin(self, opening: bytes, replay: Sequence[Entry]) -> None:
        """Write the first bytes and what the client has missed.

        The replay counts for no bound: its frames are in memory already, and a client
        that needs long for it must be able to finish. Called under the hub's lock, so
        it neither waits nor closes; a client that is gone is noticed later. ``bytes``
        says how many they are.
        """

    @abstractmethod
    def write(self, frame: bytes, entries: Sequence[Entry]) -> None:
        """Write bytes without waiting; what the client does not take is kept.

        Never raises: a connection that fails, or keeps too much, closes itself.

        :param entries: the entries whose frames, joined, are ``frame``; empty for
            bytes that are no entries'.
        """

    @abstractmethod
    def _release(self) -> None:
        """Let go of the client."""

    def call_on_close(self, function: Callable[[], object]) -> None:
        """Have a function called when the stream has ended."""
        self._on_close = function

    def close(self, reason: str) -> None:
        """End the stream; the second time it does nothing."""
        hub, self._hub = self._hub, None
        if hub is not None:
            self._release()
            self._pending = None
            hub.unregister(self, reason)

    def say_closing(self, reason: str) -> None:
        """Tell the client why, and end the stream."""
        self.write(encode_closing(reason), ())
        self.close(reason)

    def take_on_close(self) -> Callable[[], object] | None:
        """The function to call now that the stream has ended."""
        function, self._on_close = self._on_close, None
        return function
