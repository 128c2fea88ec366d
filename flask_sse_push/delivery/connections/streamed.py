"""Connections for every WSGI server: an iterator of bytes that the server writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ...events import Channel, Entry, encode_comment
from ...runtime.concurrency import is_cooperative, make_wakeup, native_lock
from .base import Connection, Limits, Owner
from .delivered import CLOSING_SECONDS, ECHO_SECONDS
from .pending import Pending
from .states import ClientEnd

# Seconds between two checks whether the client is still connected. They are short for
# threads, because a server has few of them. A check that writes a comment costs more.
_THREAD_LOOKS, _GREENLET_LOOKS, _PROBES = 0.25, 2.0, 2.0
# Writing it fails if the client has disconnected.
_PROBE = encode_comment()


class StreamedConnection(Connection):
    """A response body. The server's greenlet or thread waits in ``__next__``.

    :param client_end: called regularly; returns how the client has ended its
        connection, or ``None``. Leave it out if the server gives no access to the
        socket.
    :param probes: whether to write a comment every 2 seconds if there is no
        ``client_end``. The server ends the stream when it cannot write the comment.
    :param on_left: called when the server's thread is free again.
    """

    # No further wait is needed: a later write that succeeds proves the delivery.
    _settle_seconds = 0.0

    __slots__ = (
        "_certain",
        "_client_end",
        "_finished",
        "_lock",
        "_on_left",
        "_probes",
        "_taken",
        "_wakeup",
    )

    def __init__(
        self,
        owner: Owner,
        limits: Limits,
        user_channel: Channel | None,
        groups: tuple[Channel, ...],
        client_end: Callable[[], ClientEnd | None] | None = None,
        probes: bool = False,
        on_left: Callable[[StreamedConnection], None] | None = None,
    ) -> None:
        super().__init__(owner, limits, user_channel, groups)
        self._client_end = client_end
        self._probes = probes
        self._on_left = on_left
        self._lock = native_lock()
        self._wakeup = make_wakeup()
        self._finished: Pending | None = None
        # The number of bytes that are known to have arrived.
        self._certain = 0
        # An earlier write that a later one will confirm: the number of bytes of the
        # stream up to its end, and its time on the monotonic clock.
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

    def _closing_seconds(self) -> float:
        # The client may have closed its connection just after the last check.
        return CLOSING_SECONDS + _pause()

    def _written(self) -> int:
        """The number of bytes that the server has taken."""
        pending = self._pending or self._finished
        return self.bytes - (pending.unwritten if pending else 0)

    def _note_written(self) -> None:
        """Note that the server has written what it took, since it asks for more."""
        written = self._written()
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
                    break
            self._wait()
        self.leave_thread()
        raise StopIteration

    def _wait(self) -> None:
        """Wait until there is something to do, or until the client must be checked."""
        if self._client_end is not None:
            if not self._wakeup.wait(_pause()):
                self.end_if_abandoned()
        elif not self._wakeup.wait(_PROBES if self._probes else None):
            self.send(_PROBE, time.monotonic())

    def end_if_abandoned(self) -> bool:
        """End the stream if its client has left.

        :returns: whether it has, as far as is known.
        """
        end = self._client_end() if self._client_end is not None else None
        if end is None:
            return False
        if end is ClientEnd.CLOSED:
            # TCP delivers in order: the client has received what was written before.
            with self._lock:
                self._certain = self._written()
        super().close("gone", end)
        return True

    def leave_thread(self) -> None:
        """Report that the server's thread is free again; may be called twice."""
        if self._on_left is not None:
            self._on_left(self)

    def close(self, reason: str | None = None, end: ClientEnd | None = None) -> None:
        """Close the connection. The server calls this at the end, without a reason."""
        if reason is None:
            self.leave_thread()
        super().close(reason or "gone", end)


def _pause() -> float:
    """Seconds between two checks whether the client is still connected."""
    return _GREENLET_LOOKS if is_cooperative() else _THREAD_LOOKS
