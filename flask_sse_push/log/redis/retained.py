"""Reading the newest events of keys, which the log's writer keeps."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from ...events import Channel, Entry, Position, format_id
from .entries import decode
from .keys import Keys
from .server import Command, Server

_log = logging.getLogger("flask_sse_push")


class RetainedEvents:
    """The newest event of each key: one stream for each channel, with the log's ids.

    An application that retains nothing is spared the question at each new stream: a
    marker tells whether anything was ever retained, and the log tells of what is
    retained from then on.

    :param seconds: age from which an event is no longer given out.
    """

    def __init__(self, server: Server, keys: Keys, seconds: float) -> None:
        self._server = server
        self._keys = keys
        self._keep_ms = int(seconds * 1000)
        self._was_seen = False
        self._is_marked: bool | None = None

    def note(self) -> None:
        """Note that the log holds an event that is retained."""
        self._was_seen = True

    def forget(self) -> None:
        """Look for the marker anew: the log may have been read with a gap."""
        self._is_marked = None

    def after(self, channels: Sequence[Channel], position: Position) -> list[Entry]:
        """What is retained on the channels after a position, in log order.

        :raises BackendError: the server did not answer.
        """
        if not self._was_seen:
            if self._is_marked is None:
                [count] = self._server.call(("EXISTS", self._keys.retaining))
                self._is_marked = bool(count)
            if not self._is_marked:
                return []
        oldest = (time.time_ns() // 1_000_000 - self._keep_ms, 0)
        start = f"({format_id(max(position, oldest))}"
        commands: list[Command] = [
            ("XRANGE", self._keys.retained(channel), start, "+") for channel in channels
        ]
        found: list[Entry] = []
        for answer in self._server.call(*commands):
            for id, fields in answer:
                try:
                    place, event = decode(id, fields)
                except ValueError as error:
                    _log.warning("Retained entry %r is no event: %s", id, error)
                else:
                    found.append(event.at(place))
        found.sort(key=lambda entry: entry.position)
        return found
