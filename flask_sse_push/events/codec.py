"""The wire codec of the ``text/event-stream`` format.

It only produces bytes and does no I/O. The rules are those of the WHATWG HTML standard,
section 9.2 "Server-sent events".
"""

from __future__ import annotations

import re
from typing import Final

from ..errors import EventError
from .positions import Position, format_id
from .serialization import to_json
from .text import require_encodable

#: Event names that start with this are reserved for the extension's own events.
RESERVED_PREFIX: Final = "sse-push-"
OPEN: Final = "sse-push-open"
GAP: Final = "sse-push-gap"
CLOSING: Final = "sse-push-closing"

# In the standard only CRLF, LF and CR end a line. str.splitlines() would also split at
# U+2028, U+0085 and others, which belong to the data.
_LINE_END = re.compile(r"\r\n|\r|\n")
_FORBIDDEN = re.compile(r"[\r\n\0]")
_NAME_LENGTH = 200


def require_event_name(name: object) -> None:
    """Check that a name can be sent in an ``event`` field.

    :raises EventError: the name is not text of 1 to 200 characters, or it contains a
        line break, a NUL or half of a surrogate pair.
    """
    if not isinstance(name, str):
        raise EventError(f"An event name must be text, not {name!r}.")
    if not name or len(name) > _NAME_LENGTH:
        raise EventError(
            f"An event name must have 1 to {_NAME_LENGTH} characters, not {len(name)}."
        )
    if _FORBIDDEN.search(name):
        raise EventError(
            f"An event name must not contain a line break or a NUL: {name!r}."
        )
    require_encodable(name, "event name")


def encode(name: str, data: str, id: str | None = None) -> bytes:
    """The bytes of one event. The caller has checked its name and data.

    There is always a ``data`` line, because clients ignore an event without one.
    """
    if "\n" in data or "\r" in data:
        data = "\ndata: ".join(_LINE_END.split(data))
    head = "" if id is None else f"id: {id}\n"
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


def encode_comment(text: str = "") -> bytes:
    """The bytes of a comment, which clients ignore.

    :raises EventError: the text contains a line break or a NUL.
    """
    if _FORBIDDEN.search(text):
        raise EventError(f"A comment must not contain a line break or a NUL: {text!r}.")
    require_encodable(text, "comment")
    return f": {text}\n\n".encode()


def encode_retry(milliseconds: int) -> bytes:
    """The line that sets how long a client waits before it reconnects.

    Clients apply it as soon as they read the line, so it needs no blank line after it,
    and other fields may follow.

    :raises EventError: the value is not a whole number of at least 0; the standard
        allows only digits.
    """
    if type(milliseconds) is not int or milliseconds < 0:
        raise EventError(
            "retry must be a whole number of milliseconds, 0 or more, not "
            f"{milliseconds!r}."
        )
    return f"retry: {milliseconds}\n".encode()


def encode_cursor(position: Position) -> bytes:
    """The control event that sets the client's cursor, and with which a stream opens.

    It has data, because clients need not keep an ``id`` without it: Firefox does not.
    """
    return encode(OPEN, "{}", format_id(position))


def encode_gap(since: str | None, oldest: Position) -> bytes:
    """The control event of a gap: events after ``since`` may be missing.

    It has no id, so it does not move the client's cursor: a client that is disconnected
    right after it has not received any newer event yet.

    :param since: the client's cursor, or ``None`` if it is not from this event log.
    :param oldest: the earliest position after which no event is missing.
    """
    return encode(GAP, to_json({"since": since, "oldest": format_id(oldest)}))


def encode_closing(reason: str) -> bytes:
    """The control event that tells a client why the server closes the stream."""
    return encode(CLOSING, to_json({"reason": reason}))
