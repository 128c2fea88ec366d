"""Channels: each event is sent to one of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, NewType

from ..errors import EventError
from .text import checked_name, id_text, plain

Kind = Literal["all", "user", "group", "control"]

#: ``all``, ``user:<id>``, ``group:<name>`` or ``control``. The id or name is everything
#: after the colon, so nothing in it needs escaping. Only this module builds and parses
#: channels. They are plain text: an object would cost 40 bytes for each connection.
Channel = NewType("Channel", str)

#: The broadcast channel. Every connection receives it.
ALL: Final = Channel("all")
#: Messages between workers. No connection receives it.
CONTROL: Final = Channel("control")


def user_channel(user_id: object) -> Channel:
    """The channel of one user.

    :param user_id: text, a number or a UUID; 1 to 256 characters as text.
    :raises EventError: the id is anything else, for example ``None`` or a boolean.
    """
    return Channel("user:" + id_text(user_id))


def user_channels(user_ids: Iterable[object]) -> list[Channel]:
    """The channels of several users.

    :raises EventError: a value is not a user id, or a single text was passed.
    """
    return [user_channel(user_id) for user_id in _several(user_ids, "user ids")]


def group_channel(group: str) -> Channel:
    """The channel of one group.

    :raises EventError: the name is not text of 1 to 256 characters.
    """
    if not isinstance(group, str):
        raise EventError(f"A group name must be text, not {group!r}.")
    return Channel("group:" + checked_name(plain(group), "group name"))


def group_channels(groups: Iterable[str]) -> tuple[Channel, ...]:
    """The channels of several groups, without duplicates.

    :raises EventError: a value is not a group name, or a single text was passed.
    """
    return tuple(dict.fromkeys(map(group_channel, _several(groups, "groups"))))


def channel_kind(channel: Channel) -> Kind:
    """``"all"``, ``"user"``, ``"group"`` or ``"control"``."""
    return channel.partition(":")[0]  # type: ignore[return-value]


def channel_member(channel: Channel) -> str:
    """The user's id or the group's name; empty for the other kinds."""
    return channel.partition(":")[2]


def is_user_channel(channel: Channel) -> bool:
    """Whether this is the channel of one user; only users have a mailbox."""
    return channel.startswith("user:")


def parse_channel(text: str) -> Channel:
    """Check that a text is a channel, and return it as one.

    :raises EventError: it is not a channel.
    """
    if text not in (ALL, CONTROL) and not text.startswith(("user:", "group:")):
        raise EventError(
            f"A channel must be {str(ALL)!r}, 'user:<id>' or 'group:<name>', not "
            f"{text!r}."
        )
    return Channel(text)


def _several(values: Iterable[Any], what: str) -> Iterable[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise EventError(f"Pass a list of {what}, not {values!r}.")
    return values
