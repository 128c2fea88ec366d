"""JSON text and timestamps, in the form that event data uses."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

# Several clients split lines with str.splitlines(), which ends lines at these, too. In
# JSON they occur in strings only, where an escape means the same.
_LINE_ENDS: Final = (
    ("\x85", r"\u0085"),
    ("\u2028", r"\u2028"),
    ("\u2029", r"\u2029"),
)


def timestamp(moment: datetime | None = None) -> str:
    """A moment as ``YYYY-MM-DDTHH:MM:SS.mmmZ``, like JavaScript's ``toISOString()``.

    :param moment: defaults to now; a datetime without a time zone is taken as UTC.
    """
    if moment is None:
        moment = datetime.now(UTC)
    elif moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def json_encoder(
    default: Callable[[Any], Any] | None = None,
) -> Callable[[Any], str]:
    """Make a function that converts a value into compact JSON text on one line.

    It raises ``TypeError`` for a value without a JSON form, and ``ValueError`` for NaN,
    an infinity or an object that contains itself.

    :param default: converts a value of another type into one of JSON's types, or raises
        ``TypeError``.
    """
    encode = json.JSONEncoder(
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
        default=default,
    ).encode
    return lambda value: escape_line_ends(encode(value))


def escape_line_ends(text: str) -> str:
    """Escape the characters in JSON text at which only some clients end a line.

    These are U+0085, U+2028 and U+2029.
    """
    # Searching three times is faster than str.translate() or a regular expression.
    if not text.isascii():
        for character, escaped in _LINE_ENDS:
            if character in text:
                text = text.replace(character, escaped)
    return text


#: Converts JSON's own types into compact JSON text; control events use it.
to_json = json_encoder()
