"""The server's threads that streams hold; the last of them are not for streams."""

from __future__ import annotations

from ..runtime.concurrency import native_lock, sleep
from .connections import StreamedConnection

# How often, and after how many seconds, a thread is looked for once more that held a
# stream whose client has left.
_TRIES, _PAUSE = 5, 0.01


class Threads:
    """Counts the threads of one server's process that are held by streams."""

    def __init__(self) -> None:
        self._lock = native_lock()
        self._streams: set[StreamedConnection] = set()

    def take(self, stream: StreamedConnection, count: int | None) -> bool:
        """Hold a thread for a stream; returns whether one may be held.

        A quarter of the threads, and at least one, is left to other requests.

        :param count: the threads there are, if that is known.
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
        """Give a stream's thread back; once is enough."""
        with self._lock:
            self._streams.discard(stream)

    def _take(self, stream: StreamedConnection, count: int | None) -> bool:
        with self._lock:
            is_free = count is None or (len(self._streams) < count - max(1, count // 4))
            if is_free:
                self._streams.add(stream)
            return is_free

    def _end_abandoned(self) -> bool:
        """End streams whose clients have left; returns whether there were any."""
        with self._lock:
            streams = tuple(self._streams)
        return bool([stream for stream in streams if stream.end_if_abandoned()])
