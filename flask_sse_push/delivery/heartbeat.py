"""Regular visits to all connections: heartbeats, and closing the oldest ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import cycle

from ..events import encode_comment
from ..runtime.concurrency import give_way, sleep
from ..runtime.task import BackgroundTask
from .connections import Connection
from .registry import Registry

_log = logging.getLogger("flask_sse_push")

_FRAME = encode_comment()
# A connection is visited four times in a heartbeat period, and gets a heartbeat after
# three quarters of it, so it is never silent for longer than the period. A broadcast
# makes all connections equally idle; slots spread the heartbeats after it over a
# quarter of the period.
_VISITS = 4
# Connections visited between two pauses in which other greenlets run.
_SLICE = 128
# Seconds between two slots: short enough to notice in time that the server stops.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25


class Heartbeat:
    """Visits the connections regularly, as long as any is open.

    :param seconds: the longest time without bytes on a connection.
    :param max_age: seconds after which a connection is closed; ``None`` for never.
    :param on_visit: called before each slot is visited.
    """

    def __init__(
        self,
        registry: Registry,
        seconds: float,
        max_age: float | None,
        on_visit: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._idle = seconds * (_VISITS - 1) / _VISITS
        pause = seconds / _VISITS / len(registry.slots)
        self._pause = min(max(pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        self._max_age = max_age
        self._on_visit = on_visit
        self._task = BackgroundTask(self._run, registry.lock)

    def start(self) -> None:
        """Start visiting, unless it runs already.

        :raises RuntimeError: the system cannot start another thread.
        """
        self._task.start()

    def _run(self) -> None:
        for slot in cycle(self._registry.slots):
            sleep(self._pause)
            with self._registry.lock:
                if not self._registry.count:
                    self._task.end()
                    return
                connections = tuple(slot)
            try:
                self._on_visit()
                self._visit(connections)
            except Exception:
                _log.exception("An unexpected error occurred while sending heartbeats")

    def _visit(self, connections: tuple[Connection, ...]) -> None:
        now = time.monotonic()
        for number, connection in enumerate(connections, 1):
            if number % _SLICE == 0:
                give_way()
            if self._max_age and now - connection.opened >= self._max_age:
                connection.say_closing("age")
            elif now - connection.written >= self._idle:
                connection.send(_FRAME, now)
