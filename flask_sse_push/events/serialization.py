"""JSON text and timestamps, in the form that event data uses."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any


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
    """Make a function that converts a value into compact JSON text.

    It raises ``TypeError`` for a value without a JSON form, and ``ValueError`` for NaN,
    an infinity or an object that contains itself.

    :param default: converts a value of another type into one of JSON's types, or raises
        ``TypeError``.
    """
    return json.JSONEncoder(
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
        default=default,
    ).encode


#: Converts JSON's own types into compact JSON text; control events use it.
to_json = json_encoder()
