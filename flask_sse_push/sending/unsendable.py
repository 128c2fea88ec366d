"""Finds the value that has no JSON form, and says what to send instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

# What to pass instead, by the name of the type.
_REMEDIES = {
    "set": "Pass a list: sorted(value).",
    "frozenset": "Pass a list: sorted(value).",
    "bytes": "Pass text: value.decode(), or Base64 for binary data.",
    "bytearray": "Pass text: value.decode(), or Base64 for binary data.",
    "memoryview": "Pass text: bytes(value).decode(), or Base64 for binary data.",
    "generator": "Pass a list: list(value).",
    "complex": "Pass a list of two numbers.",
}
_REMEDY = (
    "Pass a mapping of its values, or make the application's JSON provider convert it: "
    "https://flask.palletsprojects.com/en/stable/api/#flask.json.provider"
)


def find_unsendable(
    payload: object, simplify: Callable[[object], object], error: Exception
) -> dict[str, Any]:
    """The messages of a ``PayloadError``: a value's key path, its type and a remedy.

    :param simplify: converts a value of another type into one of JSON's types, or
        raises ``TypeError``.
    :param error: why the payload could not be encoded; used if no such value is found.
    :returns: a list of messages, by key path, or by ``_schema`` for the whole payload.
    """
    try:
        found = _search(payload, simplify, "", ())
    except RecursionError:
        found = ("", "The data is nested too deeply: flatten it.")
    path, text = found or ("", f"The data cannot be written as JSON: {error}")
    return {path or "_schema": [text]}


def _search(
    value: Any, simplify: Callable[[object], object], path: str, above: tuple[int, ...]
) -> tuple[str, str] | None:
    """The path of the first value that cannot be sent, and the message about it."""
    if value is None or isinstance(value, (str, bool)):
        return None
    if isinstance(value, (int, float)):
        return _number(value, path)
    if id(value) in above:
        return path, "This object contains itself: send a copy without that reference."
    above = (*above, id(value))
    if isinstance(value, dict):
        return _first(
            _key(key, path) or _search(item, simplify, _join(path, key), above)
            for key, item in value.items()
        )
    if isinstance(value, (list, tuple)):
        return _first(
            _search(item, simplify, f"{path}[{number}]", above)
            for number, item in enumerate(value)
        )
    try:
        simple = simplify(value)
    except (TypeError, ValueError) as error:
        kind = type(value)
        remedy = _REMEDIES.get(kind.__name__, _REMEDY)
        why = "" if isinstance(error, TypeError) else f" ({error})"
        return path, f"{_named(kind)} has no JSON form{why}. {remedy}"
    return _search(simple, simplify, path, above)


def _number(value: int | float, path: str) -> tuple[str, str] | None:
    if isinstance(value, float):
        if math.isfinite(value):
            return None
        return (
            path,
            f"The float {value!r} has no JSON form. Pass None, or leave it out.",
        )
    try:
        int.__repr__(value)
    except ValueError:  # past sys.get_int_max_str_digits()
        return path, "This int has too many digits. Pass it as text."
    return None


def _key(key: object, path: str) -> tuple[str, str] | None:
    if key is None or isinstance(key, (str, int)):
        return None
    if isinstance(key, float) and math.isfinite(key):
        return None
    return (
        path,
        f"The key {key!r} is of type {type(key).__name__}. Use text as a key.",
    )


def _join(path: str, key: object) -> str:
    if not (isinstance(key, str) and key.isidentifier()):
        return f"{path}[{key!r}]"
    return f"{path}.{key}" if path else str.__str__(key)


def _named(kind: type) -> str:
    """A type's name, with its module unless the type is built in."""
    if kind.__module__ in ("builtins", "__main__"):
        return f"A value of type {kind.__qualname__}"
    return f"A value of type {kind.__module__}.{kind.__qualname__}"


def _first(
    found: Iterable[tuple[str, str] | None],
) -> tuple[str, str] | None:
    return next((one for one in found if one is not None), None)
