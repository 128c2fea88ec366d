"""Channels: whom an event is for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, NewType

from ..errors import EventError
from .text import checked_name, id_text, plain

Kind = Literal["all", "user", "group", "control"]

#: ``all``, ``user:<id>``, ``group:<name>`` or ``control``. The id or name is everything
#: behind the colon, so nothing in it needs escaping. Only this module makes channels or
#: takes them apart. Plain text: a class of its own would cost 40 bytes a connection.
Channel = NewType("Channel", str)

#: Everybody. Each connection is on this channel.
ALL: Final = Channel("all")
#: Messages between workers. No connection is on this channel.
CONTROL: Final = Channel("control")


def user_channel(user_id: object) -> Channel:
    """The channel of one user.

    :param user_id: text, a number or a UUID; 1 to 256 characters as text.
    :raises EventError: anything else, ``None`` and booleans included.
    """
    return Channel("user:" + id_text(user_id))


def user_channels(user_ids: Iterable[object]) -> list[Channel]:
    """The channels of several users.

    :raises EventError: one of them is no user id, or a single text was given.
    """
    return [user_channel(user_id) for user_id in _several(user_ids, "user ids")]


def group_channel(group: str) -> Channel:
    """The channel of one group.

    :raises EventError: the name is no text, is empty or longer than 256 characters.
    """
    if not isinstance(group, str):
        raise EventError(f"The name of a group is text, not {group!r}.")
    return Channel("group:" + checked_name(plain(group), "group name"))


def group_channels(groups: Iterable[str]) -> tuple[Channel, ...]:
    """The channels of several groups, each once.

    :raises EventError: one of them is no group name, or a single text was given.
    """
    return tuple(dict.fromkeys(map(group_channel, _several(groups, "groups"))))


def channel_kind(channel: Channel) -> Kind:
    """``"all"``, ``"user"``, ``"group"`` or ``"control"``."""
    return channel.partition(":")[0]  # type: ignore[return-value]


def channel_member(channel: Channel) -> str:
    """The user's id or the group's name; empty for the other kinds."""
    return channel.partition(":")[2]


def is_user_channel(channel: Channel) -> bool:
    """Whether it is the channel of one user, who has a mailbox."""
    return channel.startswith("user:")


def parse_channel(text: str) -> Channel:
    """The channel that a text names.

    :raises EventError: it names none.
    """
    if text not in (ALL, CONTROL) and not text.startswith(("user:", "group:")):
        raise EventError(
            f"A channel is {str(ALL)!r}, 'user:<id>' or 'group:<name>', not {text!r}."
        )
    return Channel(text)


def _several(values: Iterable[Any], what: str) -> Iterable[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise EventError(f"Give several {what}, such as a list, not {values!r}.")
    return values
