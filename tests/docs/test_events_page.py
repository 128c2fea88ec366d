"""The page on the built-in events has every event and every field of its schema."""

from __future__ import annotations

import re

import pytest
from marshmallow import fields, validate

from docs.extensions.event_fields import common_rows, own_rows
from flask_sse_push import EventName
from flask_sse_push.schemas import PayloadSchema
from flask_sse_push.schemas.registry import _BUILT_IN as SCHEMAS
from tests.support.servers import ROOT

PAGE = (ROOT / "docs/events.rst").read_text(encoding="utf-8")


def test_every_event_has_its_section_and_its_table() -> None:
    headings = {
        name
        for heading in re.findall(r"^(``.*``)\n\^+$", PAGE, re.MULTILINE)
        for name in re.findall(r"``([\w-]+)``", heading)
    }
    tables = re.findall(r"^\.\. event-fields:: (.+)$", PAGE, re.MULTILINE)
    assert headings == set(EventName)
    assert sorted(" ".join(tables).split()) == sorted(set(EventName) - {"live-update"})
    assert own_rows(SCHEMAS[EventName.LIVE_UPDATE]) == []


@pytest.mark.parametrize("name", EventName)
def test_every_field_is_described(name: EventName) -> None:
    schema = SCHEMAS[name]()
    own = own_rows(SCHEMAS[name])
    keys = {row.key for row in [*common_rows(), *own]}
    assert keys == {field.data_key for field in schema.fields.values()}
    assert {row.key for row in own if row.required} == {
        field.data_key for field in schema.fields.values() if field.required
    }
    assert all(row.meaning.endswith(".") for row in own)


def test_the_fields_of_every_event_are_not_repeated() -> None:
    assert {row.key for row in common_rows()} == {
        field.data_key for field in PayloadSchema().fields.values()
    }
    rows = {row.key: row for row in own_rows(SCHEMAS[EventName.ANNOUNCEMENT])}
    priority = rows["priority"]
    assert rows.keys() == {"title", "content", "priority"}
    assert priority.required
    assert priority.kind == "string, ``low`` or ``medium`` or ``high``"


def test_limits_null_and_defaults_are_described() -> None:
    rows = {row.key: row for row in own_rows(SCHEMAS[EventName.PROGRESS_UPDATE])}
    assert rows["current"].kind == "number, at least 0"
    assert rows["percent"].kind == "number, 0 to 100"
    assert rows["status"].kind == (
        "string, ``running`` or ``done`` or ``failed``, ``running`` when absent"
    )
    rows = {row.key: row for row in own_rows(SCHEMAS[EventName.MAINTENANCE])}
    assert rows["startTime"].kind == "date and time or null"


def test_a_rule_without_a_text_is_an_error() -> None:
    class Odd(PayloadSchema):
        word = fields.String(
            validate=validate.Length(max=3), metadata={"description": "A word."}
        )

    with pytest.raises((KeyError, TypeError)):
        own_rows(Odd)
