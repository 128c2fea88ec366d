"""Reads retained events; :class:`.Log` writes them together with the event log."""

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
    """The retained events: a Redis stream for each channel, with the event log's ids.

    If an application retains no events, opening a stream costs no command: a marker in
    Redis says whether any were retained earlier, and the event log shows later ones.

    :param seconds: the age from which events are not returned.
    """

    def __init__(self, server: Server, keys: Keys, seconds: float) -> None:
        self._server = server
        self._keys = keys
        self._keep_ms = int(seconds * 1000)
        self._was_seen = False
        self._is_marked: bool | None = None

    def note(self) -> None:
        """Note that the event log holds a retained event."""
        self._was_seen = True

    def forget(self) -> None:
        """Check the marker again, because entries of the log may have been missed."""
        self._is_marked = None

    def after(self, channels: Sequence[Channel], position: Position) -> list[Entry]:
        """The retained events of the channels after a position, in log order.

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
                    _log.warning("Ignoring retained entry %r: %s", id, error)
                else:
                    found.append(event.at(place))
        found.sort(key=lambda entry: entry.position)
        return found
