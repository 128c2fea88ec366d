"""Strict fields: they never convert a value to make it valid.

They refuse ``"1"`` for a number and ``1`` for a boolean. They dump a value unchanged,
so that loading checks the original attribute of an object and not a converted one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from marshmallow import fields, validate

from ..events import timestamp


class _AsGiven:
    """Dump the value unchanged."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return value


class Text(fields.String):
    """A string. Bytes are refused; an enumeration member is sent as its value."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return str.__str__(value) if isinstance(value, str) else value

    def _deserialize(
        self,
        value: Any,
        attr: str | None,
        data: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        return value if type(value) is str else str.__str__(value)


class Choice(Text):
    """One of the values of a string enumeration.

    :param choices: the enumeration.
    """

    def __init__(self, choices: type[StrEnum], **kwargs: Any) -> None:
        one_of = validate.OneOf([choice.value for choice in choices])
        super().__init__(validate=one_of, **kwargs)


class Id(Text):
    """An id: a string, a whole number or a UUID, sent as text."""

    default_error_messages = {  # noqa: RUF012 - as marshmallow declares it
        "invalid": "Not a valid id: it must be a string, a whole number or a UUID.",
    }

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        if isinstance(value, int | UUID) and not isinstance(value, bool):
            return self._deserialize(value, attr, None)
        return super()._serialize(value, attr, obj, **kwargs)

    def _deserialize(
        self,
        value: Any,
        attr: str | None,
        data: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> str:
        if isinstance(value, UUID):
            return str(value)
        if isinstance(value, int) and not isinstance(value, bool):
            try:
                return int.__repr__(value)
            except ValueError as error:  # past sys.get_int_max_str_digits()
                raise self.make_error("invalid") from error
        return super()._deserialize(value, attr, data, **kwargs)


class Timestamp(Text):
    """A moment: a datetime (a naive one is taken as UTC) or an ISO 8601 string.

    A datetime is sent as ``YYYY-MM-DDTHH:MM:SS.mmmZ``, a string exactly as given.
    """

    default_error_messages = {  # noqa: RUF012
        "invalid": "Not a valid timestamp: it must be a datetime or an ISO 8601 string "
        "such as 2030-12-31T23:59:59.000Z.",
    }

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        if isinstance(value, datetime):
            return self._deserialize(value, attr, None)
        return super()._serialize(value, attr, obj, **kwargs)

    def _deserialize(
        self,
        value: Any,
        attr: str | None,
        data: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> str:
        try:
            if isinstance(value, datetime):
                return timestamp(value)
            text = super()._deserialize(value, attr, data, **kwargs)
            # fromisoformat() also accepts a date alone, and a space instead of the T.
            if "T" in text:
                datetime.fromisoformat(text)
                return text
        except (ValueError, OverflowError) as error:
            raise self.make_error("invalid") from error
        raise self.make_error("invalid")


class Flag(_AsGiven, fields.Boolean):
    """``True`` or ``False``; other values, such as 1 or ``"yes"``, are refused."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,
        data: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class Whole(_AsGiven, fields.Integer):
    """An ``int``; a float is refused, even a whole one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, **kwargs)


class Number(_AsGiven, fields.Float):
    """A finite ``int`` or ``float``, sent unchanged (3 stays 3)."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,
        data: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.make_error("special")
        return value


class Numbers(fields.Dict):
    """An object of numbers, such as ``{"rss": 52428800}``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(keys=Text(), values=Number(), **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return dict(value) if isinstance(value, Mapping) else value
