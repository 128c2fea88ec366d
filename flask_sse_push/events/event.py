"""Events as they are sent, and entries as they stand in the event log."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..errors import EventError
from .channels import ALL, CONTROL, Channel, group_channel, parse_channel, user_channel
from .codec import encode, require_event_name
from .positions import Position, format_id
from .serialization import to_json
from .text import require_encodable

_REMOVE, _JOIN, _LEAVE = "remove", "join", "leave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event, checked when it is made: every ``Event`` can go on the wire.

    :param name: the event's type, what ``addEventListener`` takes.
    :param data: text, JSON as a rule; line ends arrive as ``\\n``.
    :param channel: ``"all"``, ``"user:<id>"`` or ``"group:<name>"``.
    :param store: whether history and mailbox keep it.
    :param nonce: text by which the event log recognizes a repeat, which it drops.
    :param coalesce: where events wait for a slow client, a newer one replaces an older
        one of the same channel with the same key.
    :param retain: key of which it is the newest event on its channel: every stream that
        begins later is given it.
    :raises EventError: a field cannot go on the wire.
    """

    name: str = "message"
    data: str = ""
    channel: str = ALL
    store: bool = True
    nonce: str = ""
    coalesce: str | None = None
    retain: str | None = None

    def __post_init__(self) -> None:
        require_event_name(self.name)
        if not isinstance(self.data, str):
            raise EventError(f"An event's data is text, not {self.data!r}.")
        require_encodable(self.data, "event's data")
        parse_channel(self.channel)

    @property
    def target(self) -> Channel:
        """The channel, as it has been checked."""
        return Channel(self.channel)

    def at(self, position: Position) -> Entry:
        """The log entry that this event becomes at a position, encoded."""
        frame = encode(self.name, self.data, format_id(position))
        return Entry(
            position, self.target, frame, self.store, self.coalesce, self.retain
        )


@dataclass(slots=True, eq=False)
class Entry:
    """An event in the event log.

    :param position: its place in the log.
    :param frame: its bytes on the wire, which all connections share.
    """

    position: Position
    channel: Channel
    frame: bytes
    store: bool = True
    coalesce: str | None = None
    retain: str | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """A control entry: every worker closes the user's connections."""

    position: Position
    user: Channel

    @staticmethod
    def event(user_id: str) -> Event:
        """The event that carries it through the log."""
        return Event(name=_REMOVE, data=user_id, channel=CONTROL, store=False)


@dataclass(frozen=True, slots=True)
class Membership:
    """A control entry: the user's open connections join a group, or leave it.

    :param joins: ``False`` to leave.
    """

    position: Position
    user: Channel
    group: Channel
    joins: bool

    @staticmethod
    def event(user_id: str, group: str, *, joins: bool) -> Event:
        """The event that carries it through the log."""
        name = _JOIN if joins else _LEAVE
        data = to_json([user_id, group])
        return Event(name=name, data=data, channel=CONTROL, store=False)

    @staticmethod
    def read(event: Event, position: Position) -> Membership:
        """The entry that such an event is.

        :raises EventError: its data are not a user's id and the name of a group.
        """
        try:
            user_id, group = json.loads(event.data)
        except (ValueError, TypeError) as error:
            raise EventError(
                f"A control event {event.name!r} holds a user's id and the name of a "
                f"group, not {event.data!r}."
            ) from error
        joins = event.name == _JOIN
        return Membership(position, user_channel(user_id), group_channel(group), joins)


#: An entry that workers obey; it reaches no client.
Control = Removal | Membership


@dataclass(frozen=True, slots=True)
class Gap:
    """The log is known only from ``position`` on: what came before may be missing."""

    position: Position


def read_entry(event: Event, position: Position) -> Entry | Control:
    """The entry that an event of the log is.

    :raises EventError: it is a control event of an unknown kind or with bad data.
    """
    if event.channel != CONTROL:
        return event.at(position)
    if event.name == _REMOVE:
        return Removal(position, user_channel(event.data))
    if event.name in (_JOIN, _LEAVE):
        return Membership.read(event, position)
    raise EventError(f"There is no control event {event.name!r}.")
