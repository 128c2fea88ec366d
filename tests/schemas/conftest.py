"""The schema registry that the tests of one module share."""

from __future__ import annotations

import pytest

from flask_sse_push.schemas import SchemaRegistry


@pytest.fixture(scope="module")
def registry() -> SchemaRegistry:
    return SchemaRegistry()
