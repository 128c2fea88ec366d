"""What happens to connections with time: heartbeats, and an end to the old ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import cycle

from ..events import encode_comment
from ..runtime.concurrency import give_way, sleep, spawn
from .connections import Connection
from .registry import Registry

_log = logging.getLogger("flask_sse_push")

_FRAME = encode_comment()
# A connection is visited four times a period and gets a heartbeat after three quarters
# of it: never is it silent for longer than the period. After a broadcast, which leaves
# all equally idle, heartbeats are spread over a quarter of it, slot by slot.
_VISITS = 4
# Connections visited between two chances for other greenlets.
_SLICE = 128
# Seconds between two slots: often enough to see in time that the server stops.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25


class Heartbeat:
    """Visits the connections, as long as there are any.

    :param seconds: the longest silence on a stream.
    :param max_age: seconds after which a stream is ended; ``None`` is never.
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
        self._is_running = False

    def start(self) -> None:
        """Begin, unless it runs already.

        :raises RuntimeError: the system has no thread left.
        """
        with self._registry.lock:
            if self._is_running:
                return
            self._is_running = True
        try:
            spawn(self._run)
        except BaseException:
            self._is_running = False
            raise

    def _run(self) -> None:
        for slot in cycle(self._registry.slots):
            sleep(self._pause)
            with self._registry.lock:
                if not self._registry.count:
                    self._is_running = False
                    return
                connections = tuple(slot)
            try:
                self._on_visit()
                self._visit(connections)
            except Exception:
                _log.exception("A heartbeat failed")

    def _visit(self, connections: tuple[Connection, ...]) -> None:
        now = time.monotonic()
        for number, connection in enumerate(connections, 1):
            if number % _SLICE == 0:
                give_way()
            if self._max_age and now - connection.opened >= self._max_age:
                connection.say_closing("age")
            elif now - connection.written >= self._idle:
                connection.send(_FRAME, now)
