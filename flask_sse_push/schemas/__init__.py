"""Payload schemas (marshmallow): what each event's data must be, and its wire form."""

from __future__ import annotations

from .base import CamelCaseSchema, PayloadSchema
from .registry import SchemaRegistry

__all__ = ["CamelCaseSchema", "PayloadSchema", "SchemaRegistry"]
