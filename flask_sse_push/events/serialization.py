"""JSON text and timestamps, in the form that event data uses."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID


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
    """Compact JSON text. Dates, UUIDs and decimals become text, enums their value.

    :raises TypeError: a value has no JSON form.
    :raises ValueError: a value is NaN or infinite, or an object contains itself.
    """
    return _encode_json(payload)
