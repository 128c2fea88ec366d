"""Objects that convert themselves into HTML or into plain data."""

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
    """The dump of a pydantic model or an attrs object; ``None`` for other objects.

    Neither library is imported: models are recognized by ``model_dump()``, attrs
    classes by ``__attrs_attrs__``. The values of an attrs object are not converted.

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
