"""Reading and clearing the mailboxes, which the log's writer fills."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from ...events import Entry, Position, format_id
from .entries import NONCE, decode
from .keys import Keys
from .scripts import load_script
from .server import Server

_log = logging.getLogger("flask_sse_push")

_ACKNOWLEDGE = load_script("acknowledge")
_ACKNOWLEDGE_IDS = load_script("acknowledge_ids")


class Mailbox:
    """What users have not acknowledged: one stream for each, with the log's ids.

    :param seconds: age from which an event is no longer given out.
    :param marks_unread: as for :meth:`Event.at`.
    """

    def __init__(
        self, server: Server, keys: Keys, *, seconds: float, marks_unread: bool
    ) -> None:
        self._server = server
        self._keys = keys
        self._keep_ms = int(seconds * 1000)
        self._marks_unread = marks_unread

    def unread(self, user_id: str, after: Position) -> list[Entry]:
        """A user's events after a position, each once.

        :raises BackendError: the server did not answer.
        """
        oldest = (time.time_ns() // 1_000_000 - self._keep_ms, 0)
        start = f"({format_id(max(after, oldest))}"
        key = self._keys.mailbox(user_id)
        [answer] = self._server.call(("XRANGE", key, start, "+"))
        found: dict[str, Entry] = {}
        for id, fields in answer:
            try:
                position, event = decode(id, fields)
            except ValueError as error:
                _log.warning("Entry %r of a mailbox is no event: %s", id, error)
            else:
                # A nonce is never as short as an id, nor is an id ever a nonce.
                entry = event.at(position, marks_unread=self._marks_unread)
                found.setdefault(event.nonce or format_id(position), entry)
        return list(found.values())

    def acknowledge(self, user_id: str, up_to: Position) -> int:
        """Remove a user's events up to and including a position; returns how many.

        :raises BackendError: the server did not answer.
        """
        first_kept = (up_to[0], up_to[1] + 1)
        removed: int = self._server.run(
            _ACKNOWLEDGE,
            [self._keys.mailbox(user_id)],
            [format_id(up_to), format_id(first_kept), NONCE],
        )
        return removed

    def acknowledge_ids(self, user_id: str, positions: Collection[Position]) -> int:
        """Remove single events of a user; returns how many.

        :raises BackendError: the server did not answer.
        """
        removed: int = self._server.run(
            _ACKNOWLEDGE_IDS,
            [self._keys.mailbox(user_id)],
            [NONCE, *map(format_id, positions)],
        )
        return removed
