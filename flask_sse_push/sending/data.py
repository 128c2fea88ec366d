"""Converts the data that a verb is called with into the text that is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING

from flask.json.provider import DefaultJSONProvider, JSONProvider

from ..errors import PayloadError
from ..events import escape_line_ends, html_text, json_encoder, own_dump
from .unsendable import find_unsendable

if TYPE_CHECKING:
    from flask import Flask

# The types that need no conversion, except text.
_JSON_TYPES = (int, float, list, tuple, Mapping)


class Serializer:
    """Converts data into text with the rules of a JSON provider of Flask.

    The provider's ``default`` converts values of other types than JSON's. This class
    converts what the provider refuses: pydantic models, attrs objects, mappings, and
    enums, which become their values. A provider that overrides ``dumps`` encodes the
    whole payload. Otherwise the JSON is compact and keeps the order of the keys.

    :param get_app: returns the application, whose ``json`` may be replaced at any time;
        ``None`` without an application, for Flask's default rules.
    """

    def __init__(self, get_app: Callable[[], Flask | None]) -> None:
        self._get_app = get_app
        self._encode = json_encoder(self._simplify)
        self._provider: JSONProvider | None = None
        self._has_own_dumps = False

    def plain(self, event: str, data: object) -> object:
        """Prepare the data of an event that has no schema.

        :param event: the event's name, for the error.
        :returns: text, which is sent unchanged, for text and for an object with
            ``__html__()``; a mapping, for a mapping and for an object that becomes one;
            otherwise the data itself, which is sent as JSON.
        :raises PayloadError: the data has no JSON form.
        """
        if type(data) is str:
            return data
        html = html_text(data)
        if html is not None:
            return html
        if isinstance(data, str):
            return str.__str__(data)  # for a member of a StrEnum, its value
        if data is None or isinstance(data, _JSON_TYPES):
            return data
        try:
            simple = self._simplify(data)
        except (TypeError, ValueError) as error:
            messages = find_unsendable(data, self._simplify, error)
            raise PayloadError(event, messages) from error
        # A UUID becomes a JSON string, with quotation marks, so it is not text here.
        return simple if isinstance(simple, Mapping) else data

    def to_json(self, event: str, payload: object) -> str:
        """The JSON text of a payload.

        :param event: the event's name, for the error.
        :raises PayloadError: a value has no JSON form; the error names it.
        """
        app = self._get_app()
        provider = None if app is None else app.json
        if provider is not self._provider:
            self._learn(provider)
        try:
            if self._has_own_dumps:
                return self._dump(provider, payload)  # type: ignore[arg-type]
            return self._encode(payload)
        except (TypeError, ValueError, RecursionError) as error:
            messages = find_unsendable(payload, self._simplify, error)
            raise PayloadError(event, messages) from error

    def _learn(self, provider: JSONProvider | None) -> None:
        own = None if provider is None else type(provider).dumps
        self._has_own_dumps = own not in (None, DefaultJSONProvider.dumps)
        self._provider = provider

    def _dump(self, provider: JSONProvider, payload: object) -> str:
        try:
            text = provider.dumps(payload)
        except TypeError:
            # The payload may have a model that the provider cannot convert.
            return self._encode(payload)
        if "NaN" in text or "Infinity" in text:
            # Both are allowed within text, but not as values. Decoding shows which.
            json.loads(text, parse_constant=_refuse_constant)
        return escape_line_ends(text)

    def _simplify(self, value: object) -> object:
        """Convert a value of another type into one of JSON's types.

        :raises TypeError: the value has no JSON form.
        """
        app = self._get_app()
        provider = None if app is None else app.json
        try:
            if provider is None:
                return DefaultJSONProvider.default(value)
            if isinstance(provider, DefaultJSONProvider):
                return provider.default(value)
            return json.loads(provider.dumps(value))
        except TypeError:
            dump = own_dump(value)
            if dump is not None:
                return dump
            if isinstance(value, Enum):
                return value.value
            if isinstance(value, Mapping):
                return dict(value)
            raise


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not allowed in JSON.")
