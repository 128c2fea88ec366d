"""The wire codec of the ``text/event-stream`` format.

Bytes only: nothing here opens, reads or writes anything. The rules are those of the
WHATWG HTML standard, section 9.2 "Server-sent events".
"""

from __future__ import annotations

import re
from typing import Final

from ..errors import EventError
from .positions import Position, format_id
from .serialization import to_json
from .text import require_encodable

#: Names that the extension keeps for the events it sends by itself.
RESERVED_PREFIX: Final = "sse-push-"
GAP: Final = "sse-push-gap"
CLOSING: Final = "sse-push-closing"

# The standard ends a line at CRLF, LF or CR, and at nothing else; str.splitlines()
# would also split at U+2028, U+0085 and others, which belong to the data.
_LINE_END = re.compile(r"\r\n|\r|\n")
_FORBIDDEN = re.compile(r"[\r\n\0]")
_NAME_LENGTH = 200


def require_event_name(name: object) -> None:
    """Check that a name can stand in an ``event`` field.

    :raises EventError: it is no text of 1 to 200 characters, or holds a line end, a
        NUL or half of a surrogate pair.
    """
    if not isinstance(name, str):
        raise EventError(f"An event's name is text, not {name!r}.")
    if not name or len(name) > _NAME_LENGTH:
        raise EventError(
            f"An event's name has 1 to {_NAME_LENGTH} characters, not {len(name)}."
        )
    if _FORBIDDEN.search(name):
        raise EventError(f"An event's name holds no line end and no NUL: {name!r}.")
    require_encodable(name, "event's name")


def encode(name: str, data: str, id: str | None = None) -> bytes:
    """The bytes of one event, whose name and data have been checked.

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
    require_encodable(text, "comment")
    return f": {text}\n\n".encode()


def encode_retry(milliseconds: int) -> bytes:
    """The line that sets how long a client waits before it reconnects.

    A client obeys it at once, so no blank line ends it: other fields may follow.

    :raises EventError: not a whole number from 0; the standard takes digits only.
    """
    if type(milliseconds) is not int or milliseconds < 0:
        raise EventError(f"retry is a whole number from 0, not {milliseconds!r}.")
    return f"retry: {milliseconds}\n".encode()


def encode_cursor(position: Position) -> bytes:
    """An ``id`` without data: it sets the client's cursor and dispatches nothing."""
    return f"id: {format_id(position)}\n\n".encode()


def encode_gap(since: str | None, oldest: Position) -> bytes:
    """The control event that says that events after ``since`` may be missing.

    It has no id: a client that is cut off right after it has seen nothing newer yet.

    :param since: the client's cursor, ``None`` where it was not one of this log.
    :param oldest: the earliest position from which nothing is missing.
    """
    return encode(GAP, to_json({"since": since, "oldest": format_id(oldest)}))


def encode_closing(reason: str) -> bytes:
    """The control event that says why the server ends the stream."""
    return encode(CLOSING, to_json({"reason": reason}))
