"""Reads mailboxes, and removes events from them; :class:`.Log` adds the events."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping

from ...events import START, Entry, Position, format_id
from ..backend import Unread
from .entries import NONCE, decode, position_of
from .keys import Keys
from .scripts import load_script
from .server import Server

_log = logging.getLogger("flask_sse_push")

_ACKNOWLEDGE = load_script("mailbox", "acknowledge")
_ACKNOWLEDGE_IDS = load_script("mailbox", "acknowledge_ids")

# The most mailboxes in one command. Such a command takes the server some milliseconds.
_AT_ONCE = 200


class Mailbox:
    """The mailboxes: a Redis stream for each user, with the ids of the event log.

    :param seconds: the age from which events are not returned.
    :param marks_unread: as for :meth:`.Event.at`.
    """

    def __init__(
        self, server: Server, keys: Keys, *, seconds: float, marks_unread: bool
    ) -> None:
        self._server = server
        self._keys = keys
        self._keep_ms = int(seconds * 1000)
        self._marks_unread = marks_unread

    def unread(self, user_id: str, after: Position) -> Unread:
        """A user's events after a position, without duplicates.

        :raises BackendError: the server did not answer.
        """
        oldest = (time.time_ns() // 1_000_000 - self._keep_ms, 0)
        answer, mark = self._server.call(
            ("XRANGE", self._keys.mailbox(user_id), f"({format_id(after)}", "+"),
            ("GET", self._keys.mailbox_lost(user_id)),
        )
        lost = position_of(mark) if mark else START
        found: dict[str, Entry] = {}
        for id, fields in answer:
            try:
                position, event = decode(id, fields)
            except ValueError as error:
                _log.warning("Ignoring entry %r of a mailbox: %s", id, error)
                continue
            if position < oldest:
                lost = max(lost, position)
            else:
                # A nonce does not equal an id: it is random text, or contains a NUL.
                entry = event.at(position, marks_unread=self._marks_unread)
                found.setdefault(event.nonce or format_id(position), entry)
        return Unread(list(found.values()), lost if lost > max(after, START) else None)

    def acknowledge(self, up_to: Mapping[str, Position]) -> int:
        """Remove events from mailboxes, each up to and including a position.

        :returns: the number of events removed.
        :raises BackendError: the server did not answer.
        """
        removed = 0
        users = list(up_to.items())
        for start in range(0, len(users), _AT_ONCE):
            keys: list[str] = []
            arguments: list[str | bytes] = [NONCE]
            for user_id, (ms, seq) in users[start : start + _AT_ONCE]:
                keys += [self._keys.mailbox(user_id), self._keys.mailbox_lost(user_id)]
                arguments += [format_id((ms, seq)), format_id((ms, seq + 1))]
            removed += self._server.run(_ACKNOWLEDGE, keys, arguments)
        return removed

    def acknowledge_ids(self, user_id: str, positions: Collection[Position]) -> int:
        """Remove single events from a user's mailbox.

        :returns: the number of events removed.
        :raises BackendError: the server did not answer.
        """
        removed: int = self._server.run(
            _ACKNOWLEDGE_IDS,
            [self._keys.mailbox(user_id), self._keys.mailbox_lost(user_id)],
            [NONCE, *map(format_id, positions)],
        )
        return removed
