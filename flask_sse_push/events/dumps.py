"""Objects that dump themselves, to HTML or to plain data."""

from __future__ import annotations

from typing import Any


def html_text(value: object) -> str | None:
    """The HTML of an object that has ``__html__()``, such as ``Markup``; else ``None``.

    See https://markupsafe.palletsprojects.com/en/stable/html/.
    """
    if isinstance(value, type):
        return None
    html = getattr(value, "__html__", None)
    return str.__str__(html()) if callable(html) else None


def own_dump(value: object) -> dict[str, Any] | None:
    """What a pydantic model or an attrs object dumps itself to; ``None`` for others.

    Neither library is imported: a model has ``model_dump()``, a class of attrs
    ``__attrs_attrs__``. What an attrs object holds is not dumped in turn.

    :raises ValueError: pydantic cannot dump a value of the model.
    """
    kind = type(value)
    if hasattr(kind, "__pydantic_serializer__") and hasattr(kind, "model_dump"):
        dump = value.model_dump(mode="json")  # type: ignore[attr-defined]
        return dump if isinstance(dump, dict) else None
    if hasattr(kind, "__attrs_attrs__"):
        return {
            field.name: getattr(value, field.name) for field in kind.__attrs_attrs__
        }
    return None
