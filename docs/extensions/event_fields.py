"""A directive that describes the data of built-in events, from their schemas.

``.. event-fields:: order-update`` is a table of the fields of that event, as they are
on the wire; if there are several names, they must have the same schema. Without a name
it is a table of the fields that the data of every event may have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from docutils import nodes
from marshmallow import Schema, fields, validate
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from docs.extensions.tables import GeneratedTable
from flask_sse_push.names import EventName
from flask_sse_push.schemas import PayloadSchema
from flask_sse_push.schemas import fields as own_fields
from flask_sse_push.schemas.registry import _BUILT_IN as SCHEMAS

_TYPES: dict[type[fields.Field[Any]], str] = {
    own_fields.Text: "string",
    own_fields.Choice: "string",
    own_fields.Id: "id",
    own_fields.Timestamp: "date and time",
    own_fields.Flag: "boolean",
    own_fields.Whole: "integer",
    own_fields.Number: "number",
    own_fields.Numbers: "object of numbers",
}


@dataclass(frozen=True)
class FieldRow:
    """One field of an event's data.

    :param key: its name on the wire.
    :param kind: its type, with the values that are allowed and the default.
    """

    key: str
    kind: str
    required: bool
    meaning: str


def common_rows() -> list[FieldRow]:
    """The fields that the data of every event may have."""
    return [*_rows(PayloadSchema())]


def own_rows(schema: type[Schema]) -> list[FieldRow]:
    """The fields of an event, without those that it shares with every event."""
    common = common_rows()
    return [row for row in _rows(schema()) if row not in common]


def _rows(schema: Schema) -> Iterator[FieldRow]:
    for name, field in schema.fields.items():
        yield FieldRow(
            key=field.data_key or name,
            kind=", ".join(_kind(field)),
            required=field.required,
            meaning=field.metadata["description"],
        )


def _kind(field: fields.Field[Any]) -> Iterator[str]:
    kind = _TYPES[type(field)]
    yield f"{kind} or null" if field.allow_none else kind
    for validator in field.validators:
        if isinstance(validator, validate.OneOf):
            yield " or ".join(f"``{choice}``" for choice in validator.choices)
        elif isinstance(validator, validate.Range):
            least, most = validator.min, validator.max
            yield f"at least {least}" if most is None else f"{least} to {most}"
        else:
            raise TypeError(f"{validator!r} has no text in this table: add one.")
    if isinstance(field.load_default, str):
        yield f"``{field.load_default}`` when absent"


class EventFields(GeneratedTable):
    """The directive."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> Sequence[nodes.table | nodes.system_message]:
        names = self.arguments[0].split() if self.arguments else []
        schemas = {SCHEMAS[EventName(name)] for name in names}
        # The argument would be the title of the table.
        self.arguments = []
        if len(schemas) > 1:
            raise self.error(f"{' and '.join(names)} have different schemas.")
        found = own_rows(*schemas) if schemas else common_rows()
        cells = [
            (
                f"``{row.key}``" + (", required" if row.required else ""),
                row.kind,
                row.meaning,
            )
            for row in found
        ]
        return self.table((28, 32, 40), [("Field", "Type", "Meaning"), *cells])


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive to Sphinx."""
    app.add_directive("event-fields", EventFields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
