"""Writes events to the event log, the mailboxes and the retained events."""

from __future__ import annotations

from collections.abc import Sequence

from ...events import Event, Position, channel_member
from .entries import FIELDS, NONCE, RETAIN, encode, position_of
from .keys import Keys
from .scripts import load_script
from .server import Server

_APPEND = load_script("append")


class Log:
    """Appends events.

    :param size: the number of entries that the event log keeps; it may keep up to a
        hundred more.
    :param mailbox_size: the most entries of a mailbox; 0 for no mailboxes.
    :param mailbox_seconds: the age from which events in a mailbox are not delivered.
    :param retained_size: the most ``retain`` keys of one channel.
    :param retained_seconds: the age from which retained events are not delivered.
    """

    def __init__(
        self,
        server: Server,
        keys: Keys,
        *,
        size: int,
        mailbox_size: int,
        mailbox_seconds: float,
        retained_size: int,
        retained_seconds: float,
    ) -> None:
        self._server = server
        self._keys = keys
        self._has_mailboxes = mailbox_size > 0
        self._options = (
            size,
            mailbox_size,
            # Mailboxes expire after twice this time, so that a client that comes late
            # is told of the gap.
            int(2 * mailbox_seconds * 1000),
            retained_size,
            int(retained_seconds * 1000),
            NONCE,
            RETAIN,
            len(FIELDS),
            *FIELDS,
        )

    def append(self, events: Sequence[Event]) -> list[Position]:
        """Append events to the event log, mailboxes and retained events, in one step.

        :returns: the positions of the events.
        :raises BackendError: the server did not confirm.
        """
        keys = [self._keys.log]
        arguments: list[str | bytes | int | float] = [*self._options]
        for event in events:
            number = 0
            if event.mailbox and self._has_mailboxes:
                user_id = channel_member(event.target)
                number = len(keys) + 1
                keys += [self._keys.mailbox(user_id), self._keys.mailbox_lost(user_id)]
            retained = 0
            if event.retain is not None:
                retained = len(keys) + 1
                keys += (
                    self._keys.retained(event.target),
                    self._keys.retained_ids(event.target),
                    self._keys.retaining,
                )
            arguments += (number, retained)
            arguments.extend(encode(event))
        ids = self._server.run(_APPEND, keys, arguments)
        return [position_of(id) for id in ids]
