"""The base of all payload schemas: names of the fields, and the common fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_load

from ..events import timestamp as timestamp_text
from ..names import Priority
from .fields import Choice, Flag, Id, Timestamp


def camel_case(name: str) -> str:
    """The wire name of a Python name: ``total_steps`` becomes ``totalSteps``."""
    return re.sub(r"(?<=[^_])_+([a-z0-9])", lambda match: match[1].upper(), name)


class CamelCaseSchema(Schema):
    """A schema whose fields are snake_case in Python and camelCase on the wire.

    Both spellings are accepted when loading; both at once for one field are an error.
    A field with its own ``data_key`` keeps it. If a field is neither required nor
    nullable, ``None`` means that it is absent. Use this class for objects nested in a
    payload; the payload itself is a :class:`PayloadSchema`.
    """

    class Meta:
        # Nested("Name") must find only the application's own class of that name.
        register = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._python_names: dict[Any, str] = {
            name: field.data_key
            for name, field in self.fields.items()
            if field.data_key is not None and field.data_key != name
        }
        optional = {
            name: field
            for name, field in self.fields.items()
            if not (field.required or field.allow_none)
        }
        self._optional_keys = {f.data_key or name for name, f in optional.items()}
        self._optional_attributes = {
            f.attribute or name for name, f in optional.items()
        }

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        if field_obj.data_key is None:
            field_obj.data_key = camel_case(field_name)

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        # For a missing key marshmallow tries getattr: a field "items" would be
        # dict.items.
        if type(obj) is dict and "." not in attr:
            value = obj.get(attr, default)
        else:
            value = super().get_attribute(obj, attr, default)
        return default if value is None and attr in self._optional_attributes else value

    @pre_load
    def _to_wire_names(self, data: Any, **kwargs: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        renamed: dict[Any, Any] = {}
        for key, value in data.items():
            wire_name: Any = self._python_names.get(key, key)
            if value is None and wire_name in self._optional_keys:
                continue
            if wire_name in renamed:
                raise ValidationError(
                    "The key is given twice, in snake_case and in camelCase: use one.",
                    wire_name,
                )
            renamed[wire_name] = value
        return renamed


class PayloadSchema(CamelCaseSchema):
    """The base of all event schemas, with the fields that every payload may have.

    ``timestamp`` is filled in when absent. ``id`` and ``userId`` are from the guide's
    ``BaseSSEData``; its patterns add the others to any event. Subclass it to describe
    an event of your own, with names in snake_case::

        class SeatTaken(PayloadSchema):
            seat_number = fields.Integer(required=True, strict=True)

        sse.register_schema("seat-taken", SeatTaken)

    Unknown fields are refused, unless the schema has
    ``class Meta(PayloadSchema.Meta): unknown = INCLUDE``.
    """

    timestamp = Timestamp(
        load_default=timestamp_text, metadata={"description": "When it was sent."}
    )
    id = Id(metadata={"description": "The ``id`` that the verb was called with."})
    user_id = Id(metadata={"description": "The user whom it concerns."})
    batch_id = Id(
        metadata={"description": "Shared by the events of one ``send_batch``."}
    )
    group_id = Id(metadata={"description": "The group that it concerns."})
    admin_only = Flag(
        metadata={"description": "Whether it is only for administrators."}
    )
    active_user = Flag(
        metadata={"description": "Whether it is only for connected users."}
    )
    priority = Choice(
        Priority, metadata={"description": "How urgent it is, for the client."}
    )
