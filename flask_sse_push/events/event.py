"""Events, as applications send them, and the entries they become in the event log."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..errors import EventError
from .channels import (
    ALL,
    CONTROL,
    Channel,
    group_channel,
    parse_channel,
    user_channel,
)
from .codec import encode, require_event_name
from .positions import UNREAD_MARK, Position, format_id
from .serialization import to_json
from .text import require_encodable

_REMOVE, _JOIN, _LEAVE = "remove", "join", "leave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. It is checked when it is created, so every ``Event`` can be sent.

    :param name: the event's type, as clients pass it to ``addEventListener``.
    :param data: text, usually JSON; clients receive every line break as ``\\n``.
    :param channel: ``"all"``, ``"user:<id>"`` or ``"group:<name>"``.
    :param store: whether the history keeps it.
    :param mailbox: whether its user's mailbox keeps it until it has been delivered.
    :param nonce: text that identifies this event; the event log drops a second event
        with the same nonce.
    :param coalesce: while events wait for a slow client, a newer one replaces an older
        one of the same channel with the same key.
    :param retain: key of a state, such as ``"score"``; new streams get the newest event
        of each key.
    :raises EventError: a field has a value that cannot be sent.
    """

    name: str = "message"
    data: str = ""
    channel: str = ALL
    store: bool = True
    mailbox: bool = False
    nonce: str = ""
    coalesce: str | None = None
    retain: str | None = None

    def __post_init__(self) -> None:
        require_event_name(self.name)
        if not isinstance(self.data, str):
            raise EventError(f"Event data must be text, not {self.data!r}.")
        require_encodable(self.data, "event data")
        parse_channel(self.channel)

    @property
    def target(self) -> Channel:
        """The channel, which has been checked."""
        return Channel(self.channel)

    def at(self, position: Position, *, marks_unread: bool = False) -> Entry:
        """The encoded event log entry of this event at a position.

        :param marks_unread: whether to mark the id if the event is for a mailbox.
        """
        id = format_id(position)
        if marks_unread and self.mailbox:
            id += UNREAD_MARK
        frame = encode(self.name, self.data, id)
        return Entry(
            position=position,
            channel=self.target,
            frame=frame,
            store=self.store,
            mailbox=self.mailbox,
            coalesce=self.coalesce,
            retain=self.retain,
        )


@dataclass(slots=True, eq=False)
class Entry:
    """An event in the event log.

    :param position: its position in the event log.
    :param frame: its encoded bytes, which all connections share.
    """

    position: Position
    channel: Channel
    frame: bytes
    store: bool = True
    mailbox: bool = False
    coalesce: str | None = None
    retain: str | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """A control entry: every worker closes the user's connections."""

    position: Position
    user: Channel

    @staticmethod
    def event(user_id: str) -> Event:
        """The control event that carries a removal through the event log."""
        return Event(name=_REMOVE, data=user_id, channel=CONTROL, store=False)


@dataclass(frozen=True, slots=True)
class Membership:
    """A control entry: the user's open connections join or leave a group.

    :param joins: ``True`` to join, ``False`` to leave.
    """

    position: Position
    user: Channel
    group: Channel
    joins: bool

    @staticmethod
    def event(user_id: str, group: str, *, joins: bool) -> Event:
        """The control event that carries the change through the event log."""
        name = _JOIN if joins else _LEAVE
        data = to_json([user_id, group])
        return Event(name=name, data=data, channel=CONTROL, store=False)

    @staticmethod
    def read(event: Event, position: Position) -> Membership:
        """Make an entry of a control event that :meth:`event` has made.

        :raises EventError: its data is not a user id and a group name.
        """
        try:
            user_id, group = json.loads(event.data)
        except (ValueError, TypeError) as error:
            raise EventError(
                f"The data of a control event {event.name!r} must be a user id and a "
                f"group name, not {event.data!r}."
            ) from error
        joins = event.name == _JOIN
        return Membership(position, user_channel(user_id), group_channel(group), joins)


#: An entry for the workers; no client receives it.
Control = Removal | Membership


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries before ``position`` may be missing; no later entry is."""

    position: Position


def read_entry(
    event: Event, position: Position, *, marks_unread: bool = False
) -> Entry | Control:
    """Make an entry of an event that was read from the event log.

    :param marks_unread: as for :meth:`Event.at`.
    :raises EventError: it is a control event of an unknown kind or with bad data.
    """
    if event.channel != CONTROL:
        return event.at(position, marks_unread=marks_unread)
    if event.name == _REMOVE:
        return Removal(position, user_channel(event.data))
    if event.name in (_JOIN, _LEAVE):
        return Membership.read(event, position)
    raise EventError(
        f"Unknown control event {event.name!r}: run the same version of flask_sse_push "
        "on all workers."
    )
