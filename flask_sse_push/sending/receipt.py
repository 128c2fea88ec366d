"""The receipt, which every sending verb returns."""

from __future__ import annotations

import time

from ..events import Position, format_id
from ..runtime.concurrency import sleep


class Receipt:
    """The state of an event that was sent.

    :param connected: whether a receiver was connected: ``True`` if one was connected to
        this worker, ``False`` if none was anywhere, ``None`` if only other workers can
        know.
    """

    __slots__ = ("_followed", "_position", "connected")

    def __init__(
        self, connected: bool | None, position: Position | None = None
    ) -> None:
        self._position = position
        self._followed: Receipt | None = None
        self.connected = connected

    def __repr__(self) -> str:
        return f"Receipt(id={self.id!r}, connected={self.connected!r})"

    @property
    def id(self) -> str | None:
        """The event's id, ``None`` while it waits to be written to the event log."""
        if self._followed is not None:
            return self._followed.id
        return format_id(self._position) if self._position else None

    @property
    def queued(self) -> bool:
        """Whether the event still waits to be written to the event log."""
        return self.id is None

    def wait(self, timeout: float) -> bool:
        """Wait until the event is in the event log.

        :param timeout: the longest wait, in seconds.
        :returns: whether it is there.
        """
        end = time.monotonic() + timeout
        while self.queued and time.monotonic() < end:
            sleep(0.002)
        return not self.queued

    def settle(self, position: Position) -> None:
        """Set the event's position in the event log."""
        self._position = position

    def follow(self, other: Receipt) -> None:
        """Report the state of another receipt, once the event is really sent."""
        self._followed = other
        self.connected = other.connected
