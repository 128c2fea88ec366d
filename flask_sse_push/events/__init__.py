"""Events, their ids, and the wire codec of the ``text/event-stream`` format.

Text only: nothing here opens, reads or writes anything. The rules are those of the
WHATWG HTML standard, section 9.2 "Server-sent events".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from ..errors import EventError

#: A place in the log: milliseconds since 1970 and a number within the millisecond.
#: Positions compare in log order, over all channels.
Position = tuple[int, int]

#: The channel every connection stands on.
ALL: Final = "all"
#: The channel of what workers say to each other; no connection stands on it.
CONTROL: Final = "control"
#: Names the extension keeps for the events it sends of its own accord.
RESERVED_PREFIX: Final = "sse-push-"
GAP: Final = "sse-push-gap"
CLOSING: Final = "sse-push-closing"

START: Final[Position] = (0, 0)
_CHANNELS = (ALL, "user:", "group:", CONTROL)

# The standard ends a line at CRLF, LF or CR, and at nothing else; str.splitlines()
# would also split at U+2028, U+0085 and others, which belong to the data.
_LINE_END = re.compile(r"\r\n|\r|\n")
_FORBIDDEN = re.compile(r"[\r\n\0]")
# Printable ASCII less the bytes that make a cross-origin ``Last-Event-ID`` header
# need a preflight (Fetch standard, "CORS-unsafe request-header byte").
_WIRE_ID = re.compile(r"[!#-'*+,\-./0-9;=A-Z^_`a-z|~]{1,128}")
_POSITION = re.compile(r"(\d{1,16})-(\d{1,16})", re.ASCII)
_NAME_LENGTH = 200
_USER_LENGTH = 256


def user_channel(user_id: object) -> str:
    """The channel of one user.

    :param user_id: text, a number or a UUID; not empty, at most 256 characters.
    :raises EventError: anything else, ``None`` and booleans above all.
    """
    return "user:" + id_text(user_id)


def user_channels(user_ids: Iterable[object]) -> list[str]:
    """The channels of several users.

    :raises EventError: one is no user id, or it is one text and not several ids.
    """
    return [user_channel(user_id) for user_id in _several(user_ids, "user ids")]


def id_text(id: object, what: str = "user id") -> str:
    """An id as the text it is known by everywhere: ``42`` and ``"42"`` are one.

    :param what: what it is the id of, for the error.
    :raises EventError: it is no text, number or UUID, is empty or too long.
    """
    if isinstance(id, str):
        return _member(plain(id), what)
    if not isinstance(id, (int, UUID)) or isinstance(id, bool):
        raise EventError(f"A {what} is text, a number or a UUID, not {id!r}.")
    return _member(str(id), what)


def plain(text: str) -> str:
    """Text without its subclass: ``str()`` of a ``(str, Enum)`` member is its name."""
    return str.__str__(text)


def group_channel(group: str) -> str:
    """The channel of one group.

    :raises EventError: the name is no text, is empty or longer than 256 characters.
    """
    if not isinstance(group, str):
        raise EventError(f"The name of a group is text, not {group!r}.")
    return "group:" + _member(plain(group), "group name")


def group_channels(groups: Iterable[str]) -> tuple[str, ...]:
    """The channels of several groups, each once.

    :raises EventError: one is no group's name, or it is one text and not several.
    """
    return tuple(dict.fromkeys(map(group_channel, _several(groups, "groups"))))


def _several(values: Iterable[Any], what: str) -> Iterable[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise EventError(f"Give several {what}, such as a list, not {values!r}.")
    return values


def _member(text: str, what: str) -> str:
    if not 0 < len(text) <= _USER_LENGTH:
        raise EventError(
            f"A {what} has 1 to {_USER_LENGTH} characters, not {len(text)}."
        )
    _encodable(text, what)
    return text


def format_id(position: Position) -> str:
    """The id on the wire of the event at ``position``: ``<ms>-<seq>``."""
    return f"{position[0]}-{position[1]}"


def parse_id(text: object) -> Position | None:
    """The position an id of ours names, or ``None`` when it is not one.

    :param text: as it came from a client: nothing is assumed of it.
    """
    match = _POSITION.fullmatch(text) if isinstance(text, str) else None
    return (int(match[1]), int(match[2])) if match else None


def timestamp(moment: datetime | None = None) -> str:
    """A moment as ``YYYY-MM-DDTHH:MM:SS.mmmZ``, as JavaScript's ``toISOString()``.

    :param moment: now if absent; one without a time zone is taken as UTC.
    """
    if moment is None:
        moment = datetime.now(UTC)
    elif moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def _json_default(value: object) -> object:
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (UUID, Decimal)):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


_encode_json = json.JSONEncoder(
    ensure_ascii=False,
    allow_nan=False,
    separators=(",", ":"),
    default=_json_default,
).encode


def to_json(payload: Any) -> str:
    """Compact JSON text. Dates, UUIDs, decimals and enumerations go out as text.

    :raises TypeError: a value has no JSON form.
    :raises ValueError: NaN, an infinity, or an object that contains itself.
    """
    return _encode_json(payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event, checked when it is made: whatever exists can go on the wire.

    :param name: the event's type, what ``addEventListener`` takes.
    :param data: text, JSON as a rule; line ends arrive as ``\\n``.
    :param channel: ``"all"``, ``"user:<id>"`` or ``"group:<name>"``.
    :param id: the id on the wire, for an event that has no place in the log.
    :param store: whether history and mailbox keep it.
    :param nonce: text the log knows the event by, so that a repeat is dropped.
    :param coalesce: events of one channel with one key replace each other where they
        wait for a slow client.
    :raises EventError: a field cannot go on the wire.
    """

    name: str = "message"
    data: str = ""
    channel: str = ALL
    id: str | None = None
    store: bool = True
    nonce: str = ""
    coalesce: str | None = None

    def __post_init__(self) -> None:
        _require_text(self.name, "name")
        _require_text(self.data, "data")
        if not self.channel.startswith(_CHANNELS):
            raise EventError(
                f"A channel is {ALL!r}, 'user:<id>' or 'group:<name>', not "
                f"{self.channel!r}."
            )
        if not self.name or len(self.name) > _NAME_LENGTH:
            raise EventError(
                f"An event's name has 1 to {_NAME_LENGTH} characters, "
                f"not {len(self.name)}."
            )
        if _FORBIDDEN.search(self.name):
            raise EventError(
                f"An event's name holds no line end and no NUL: {self.name!r}."
            )
        if self.id is not None and not _WIRE_ID.fullmatch(self.id):
            raise EventError(
                f"An event's id is 1 to 128 printable ASCII characters without "
                f"spaces, quotes, colons and brackets, not {self.id!r}."
            )
        _encodable(self.name, "name")
        _encodable(self.data, "data")

    def at(self, position: Position) -> Entry:
        """The log entry this event becomes at ``position``, encoded.

        A control message's frame is its data: it goes to the hub, not on the wire.
        """
        is_control = self.channel == CONTROL
        return Entry(
            position=position,
            channel=self.channel,
            frame=self.data.encode()
            if is_control
            else encode(self.name, self.data, format_id(position)),
            store=self.store,
            coalesce=self.coalesce,
        )

    def encode(self) -> bytes:
        """The event's bytes on the wire."""
        return encode(self.name, self.data, self.id)


@dataclass(slots=True, eq=False)
class Entry:
    """An event in the log: its place and its bytes on the wire, which all share."""

    position: Position
    channel: str
    frame: bytes
    store: bool = True
    coalesce: str | None = None


def encode(name: str, data: str, id: str | None = None) -> bytes:
    """The bytes of one event, checked by :class:`Event` before.

    An event always has a ``data`` line: one without is never dispatched.
    """
    if "\n" in data or "\r" in data:
        data = "\ndata: ".join(_LINE_END.split(data))
    head = "" if id is None else f"id: {id}\n"
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


def encode_comment(text: str = "") -> bytes:
    """The bytes of a comment, which clients ignore.

    :raises EventError: the text has a line end or a NUL.
    """
    if _FORBIDDEN.search(text):
        raise EventError(f"A comment holds no line end and no NUL: {text!r}.")
    _encodable(text, "comment")
    return f": {text}\n\n".encode()


def encode_retry(milliseconds: int) -> bytes:
    """The line that sets how long a client waits before it connects again.

    A client obeys it at once, so no blank line ends it: other fields may follow.

    :raises EventError: not a whole number from 0; the standard takes digits only.
    """
    if type(milliseconds) is not int or milliseconds < 0:
        raise EventError(f"retry is a whole number from 0, not {milliseconds!r}.")
    return f"retry: {milliseconds}\n".encode()


def encode_cursor(position: Position) -> bytes:
    """An ``id`` with no data: it sets the client's cursor and dispatches nothing."""
    return f"id: {format_id(position)}\n\n".encode()


def encode_gap(since: str | None, oldest: Position) -> bytes:
    """The control event that says: events after ``since`` may be missing.

    It has no id: a client cut off right after it has seen nothing newer yet.

    :param since: the client's cursor, ``None`` where it was none of ours.
    :param oldest: the earliest position from which nothing is missing.
    """
    return encode(GAP, to_json({"since": since, "oldest": format_id(oldest)}))


def encode_closing(reason: str) -> bytes:
    """The control event that says why the server ends the stream."""
    return encode(CLOSING, to_json({"reason": reason}))


def _require_text(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise EventError(f"An event's {what} is text, not {value!r}.")


def _encodable(text: str, what: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EventError(
            f"An event's {what} holds half of a surrogate pair at {error.start}; "
            "decode the text with errors='replace' where it comes from."
        ) from error
