"""Properties of all valid and invalid payloads, whatever their values."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from flask_sse_push.names import EventName
from flask_sse_push.schemas import SchemaRegistry
from flask_sse_push.schemas.base import camel_case
from tests.schemas.refusals import refusal
from tests.schemas.shapes import FILLED_IN, NOW, SHAPES, WIRE_TIME, kinds, snake_case
from tests.schemas.strategies import bad, events_and_payloads, good, moments, numbers


@given(events_and_payloads)
def test_valid_payloads_come_back_unchanged(
    registry: SchemaRegistry, case: tuple[str, dict[str, Any]]
) -> None:
    name, payload = case
    before = dict(payload)
    prepared = registry.prepare(name, payload)
    assert payload == before
    assert prepared | payload == prepared
    assert prepared.keys() - payload.keys() <= FILLED_IN
    assert json.loads(json.dumps(prepared)) == prepared
    for key, value in payload.items():
        assert type(prepared[key]) is type(value)


@given(events_and_payloads, st.data())
def test_a_wrong_value_is_refused_by_its_name(
    registry: SchemaRegistry, case: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    name, payload = case
    field = data.draw(st.sampled_from(sorted(kinds(name))))
    wrong = bad(kinds(name)[field])
    if field not in SHAPES[name][0]:
        wrong = wrong.filter(lambda value: value is not None)
    payload[field] = data.draw(wrong)
    assert field in refusal(registry, name, payload)


@given(events_and_payloads, st.data())
def test_none_for_an_optional_field_is_its_absence(
    registry: SchemaRegistry, case: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    name, payload = case
    items = kinds(name).items() - SHAPES[name][0].items()
    optional = {key for key, kind in items if kind not in ("text?", "time?")}
    field = data.draw(st.sampled_from(sorted(optional - {"timestamp"})))
    absent = payload | {"timestamp": NOW}
    absent.pop(field, None)
    if "startTime" in kinds(name):
        absent["startTime"] = NOW
    expected = registry.prepare(name, absent)
    for key in (field, snake_case(field)):
        assert registry.prepare(name, absent | {key: None}) == expected
    row = {snake_case(key): value for key, value in (absent | {field: None}).items()}
    assert registry.prepare(name, SimpleNamespace(**row)) == expected


@given(events_and_payloads, st.data())
def test_a_missing_field_is_refused_by_its_name(
    registry: SchemaRegistry, case: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    name, payload = case
    required, _ = SHAPES[name]
    if required:
        field = data.draw(st.sampled_from(sorted(required)))
        del payload[field]
        assert refusal(registry, name, payload) == {
            field: ["Missing data for required field."]
        }


@given(events_and_payloads, st.text())
def test_an_unknown_field_is_refused(
    registry: SchemaRegistry, case: tuple[str, dict[str, Any]], field: str
) -> None:
    name, payload = case
    if field not in kinds(name) and camel_case(field) not in kinds(name):
        payload[field] = "x"
        if name == EventName.LIVE_UPDATE:
            assert registry.prepare(name, payload)[field] == "x"
        else:
            assert refusal(registry, name, payload) == {field: ["Unknown field."]}


@given(events_and_payloads, st.data())
def test_both_spellings_at_once_are_refused(
    registry: SchemaRegistry, case: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    name, payload = case
    two_words = sorted(key for key in kinds(name) if key != key.lower())
    field = data.draw(st.sampled_from(two_words))
    payload[field] = payload[snake_case(field)] = data.draw(good(kinds(name)[field]))
    assert refusal(registry, name, payload) == {
        field: ["The key is given twice, in snake_case and in camelCase: use one."]
    }


@given(moments)
def test_a_datetime_goes_out_as_utc_text(
    registry: SchemaRegistry, moment: datetime
) -> None:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        expected = aware.astimezone(UTC)
    except OverflowError:
        assert "timestamp" in refusal(registry, "live-update", {"timestamp": moment})
        return
    text = registry.prepare("live-update", {"timestamp": moment})["timestamp"]
    assert WIRE_TIME.fullmatch(text)
    written = datetime.fromisoformat(text)
    assert timedelta(0) <= expected - written < timedelta(milliseconds=1)


@given(st.integers(-(10**30), 10**30) | st.uuids())
def test_ids_go_out_as_text(registry: SchemaRegistry, value: int | UUID) -> None:
    prepared = registry.prepare("read-receipt", {"message_id": value, "userId": value})
    assert prepared["messageId"] == prepared["userId"] == str(value)


@given(st.integers(1, 100), st.integers(1, 100))
def test_a_step_is_within_the_total(
    registry: SchemaRegistry, step: int, total: int
) -> None:
    payload = {
        "orderId": "o",
        "status": "s",
        "message": "m",
        "step": step,
        "totalSteps": total,
    }
    if step <= total:
        assert registry.prepare("order-status", payload)["step"] == step
    else:
        assert refusal(registry, "order-status", payload) == {
            "step": ["Must not be greater than totalSteps."]
        }


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.text().filter(lambda key: key != "timestamp"),
        st.recursive(st.none() | numbers | st.text(), st.lists),
    )
)
def test_an_event_without_schema_passes_verbatim(
    registry: SchemaRegistry, data: dict[str, Any]
) -> None:
    prepared = registry.prepare("no-schema", data)
    assert WIRE_TIME.fullmatch(prepared.pop("timestamp"))
    assert prepared == data
