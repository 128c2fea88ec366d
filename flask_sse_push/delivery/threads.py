"""Counts the server's threads that streams occupy, and reserves some for requests."""

from __future__ import annotations

from ..runtime.concurrency import native_lock, sleep
from .connections import StreamedConnection

# How often to retry, and the seconds between two tries, after streams whose clients
# have left were ended: their threads become free a moment later.
_TRIES, _PAUSE = 5, 0.01


class Threads:
    """Counts the threads of one server process that streams occupy."""

    def __init__(self) -> None:
        self._lock = native_lock()
        self._streams: set[StreamedConnection] = set()

    def take(self, stream: StreamedConnection, count: int | None) -> bool:
        """Count a thread as occupied by a stream, if one is available.

        A quarter of the threads, and at least one, is reserved for other requests.

        :param count: the server's number of threads; ``None`` if it is not known, and
            then a thread is always available.
        :returns: whether a thread was available.
        """
        if self._take(stream, count):
            return True
        if not self._end_abandoned():
            return False
        for _ in range(_TRIES):
            sleep(_PAUSE)
            if self._take(stream, count):
                return True
        return False

    def leave(self, stream: StreamedConnection) -> None:
        """Count a stream's thread as free; calling this again does nothing."""
        with self._lock:
            self._streams.discard(stream)

    def _take(self, stream: StreamedConnection, count: int | None) -> bool:
        with self._lock:
            is_free = count is None or (len(self._streams) < count - max(1, count // 4))
            if is_free:
                self._streams.add(stream)
            return is_free

    def _end_abandoned(self) -> bool:
        """End streams whose clients have left; return whether there were any."""
        with self._lock:
            streams = tuple(self._streams)
        return bool([stream for stream in streams if stream.end_if_abandoned()])
