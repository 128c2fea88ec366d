"""Connections for every WSGI server: an iterator of bytes that the server writes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...events import Channel, Entry
from ...runtime.concurrency import make_wakeup, native_lock
from .base import Connection, Limits, Owner
from .delivered import ECHO_SECONDS
from .pending import Pending


class StreamedConnection(Connection):
    """A response body. The server's greenlet or thread waits in ``__next__``."""

    # Delivery is certain as soon as a later write has succeeded.
    _settle_seconds = 0.0

    __slots__ = ("_certain", "_finished", "_lock", "_taken", "_wakeup")

    def __init__(
        self,
        owner: Owner,
        limits: Limits,
        user_channel: Channel | None,
        groups: tuple[Channel, ...],
    ) -> None:
        super().__init__(owner, limits, user_channel, groups)
        self._lock = native_lock()
        self._wakeup = make_wakeup()
        self._finished: Pending | None = None
        # The bytes of the stream that have arrived for certain, and an earlier write
        # (bytes of the stream up to its end, and its time) that a later one confirms.
        self._certain = 0
        self._taken: tuple[int, float] | None = None

    def begin(self) -> None:
        self._wakeup.set()

    def _write(self, frame: bytes, entries: Sequence[Entry]) -> None:
        with self._lock:
            pending = self._pending
            if pending is None:
                return
            pending.append(frame, entries)
            overflows = pending.overflows
        if overflows:
            self.close("overflow")
        else:
            self._wakeup.set()

    def say_closing(self, reason: str) -> None:
        # The server's greenlet or thread still has to write the pending frames.
        with self._lock:
            self._finished = self._pending
        super().say_closing(reason)

    def _acknowledged(self) -> int:
        return self._certain

    def _note_written(self) -> None:
        """Note that the server asks for more: it has written all that it took."""
        pending = self._pending or self._finished
        written = self.bytes - (pending.unwritten if pending else 0)
        if not written:
            return
        now = time.monotonic()
        if self._taken is not None:
            earlier, then = self._taken
            if now - then < ECHO_SECONDS or written == earlier:
                return
            self._certain = earlier
        self._taken = (written, now)

    def _release(self) -> None:
        self._wakeup.set()

    def __iter__(self) -> StreamedConnection:
        return self

    def __next__(self) -> bytes:
        while True:
            with self._lock:
                self._note_written()
                pending = self._pending or self._finished
                if pending:
                    chunk = pending.take()
                    if not pending:
                        pending.limit = self._limits.pending_bytes
                    return chunk
                if not self.is_open:
                    raise StopIteration
            self._wakeup.wait()

    def close(self, reason: str = "gone", *, by_client: bool = False) -> None:
        """Close the connection; the server calls this when the client is gone."""
        super().close(reason, by_client=by_client)
