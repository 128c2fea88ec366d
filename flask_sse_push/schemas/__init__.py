"""Payload schemas (marshmallow): they check event data and give it its wire form."""

from __future__ import annotations

from .base import CamelCaseSchema, PayloadSchema
from .registry import SchemaRegistry

__all__ = ["CamelCaseSchema", "PayloadSchema", "SchemaRegistry"]
