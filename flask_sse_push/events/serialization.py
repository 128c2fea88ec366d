"""JSON text and timestamps, as they stand in an event's data."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any


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


def json_encoder(
    default: Callable[[Any], Any] | None = None,
) -> Callable[[Any], str]:
    """A function that gives a value as compact JSON text.

    It raises ``TypeError`` for a value without a JSON form, and ``ValueError`` for NaN,
    an infinity or an object that contains itself.

    :param default: gives a value of another type than JSON's as one of JSON's types, or
        raises ``TypeError``.
    """
    return json.JSONEncoder(
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
        default=default,
    ).encode


#: JSON text of JSON's own types, as control events carry it.
to_json = json_encoder()
