"""The messages of a registry for data that it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from flask_sse_push.errors import PayloadError
from flask_sse_push.schemas import SchemaRegistry


def refusal(
    registry: SchemaRegistry, name: str, data: Any, *, strict: bool = False
) -> dict[str, Any]:
    """The messages of the ``PayloadError``, which must name the event."""
    with pytest.raises(PayloadError) as caught:
        registry.prepare(name, data, strict=strict)
    assert type(caught.value.event) is str
    assert caught.value.event == name
    return caught.value.messages
