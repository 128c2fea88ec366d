"""Connections for every WSGI server: an iterator of bytes that the server writes."""

from __future__ import annotations

from collections.abc import Sequence

from ...events import Channel, Entry
from ...runtime.concurrency import make_wakeup, native_lock
from .base import Connection, Limits, Owner
from .pending import Pending


class StreamedConnection(Connection):
    """A response body. The server's greenlet or thread waits in ``__next__``."""

    __slots__ = ("_finished", "_lock", "_wakeup")

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

    def _release(self) -> None:
        self._wakeup.set()

    def __iter__(self) -> StreamedConnection:
        return self

    def __next__(self) -> bytes:
        while True:
            with self._lock:
                pending = self._pending or self._finished
                if pending:
                    chunk = pending.take()
                    if not pending:
                        pending.limit = self._limits.pending_bytes
                    return chunk
                if not self.is_open:
                    raise StopIteration
            self._wakeup.wait()

    def close(self, reason: str = "gone") -> None:
        """Close the connection; the server calls this when the client is gone."""
        super().close(reason)
