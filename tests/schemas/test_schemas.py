from __future__ import annotations

import json
import re
from collections import namedtuple
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from types import MappingProxyType, SimpleNamespace
from typing import Any, Literal, NotRequired, get_origin, get_type_hints
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import (
    EXCLUDE,
    INCLUDE,
    Schema,
    class_registry,
    fields,
    post_load,
)
from marshmallow.exceptions import RegistryError

from flask_sse_push import payloads
from flask_sse_push.errors import ConfigError, PayloadError
from flask_sse_push.names import (
    EventName,
    HealthStatus,
    NotificationType,
    Priority,
    Severity,
)
from flask_sse_push.schemas import CamelCaseSchema, PayloadSchema, SchemaRegistry
from flask_sse_push.schemas.base import camel_case
from flask_sse_push.schemas.fields import Text, Timestamp, Whole

NOW = "2030-05-01T12:00:00.000Z"
WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

# Every payload of the guide, with exactly its keys.
GUIDE: list[tuple[str, dict[str, Any]]] = [
    (
        "notification",
        {"type": "info", "message": "m", "timestamp": NOW, "userId": "u"},
    ),
    ("notification", {"type": "info", "message": "m", "timestamp": NOW}),
    (
        "notification",
        {"type": "warning", "message": "m", "timestamp": NOW, "batchId": "b"},
    ),
    (
        "notification",
        {
            "type": "success",
            "message": "m",
            "title": "t",
            "actionUrl": "/orders/1",
            "timestamp": NOW,
            "id": "1",
            "userId": "u",
        },
    ),
    (
        "order-update",
        {
            "orderId": "o",
            "status": "shipped",
            "timestamp": NOW,
            "estimatedDelivery": "2-3 business days",
        },
    ),
    (
        "order-update",
        {
            "orderId": "o",
            "status": "packed",
            "timestamp": NOW,
            "estimatedDelivery": None,
        },
    ),
    (
        "order-update",
        {
            "orderId": "o",
            "status": "shipped",
            "timestamp": NOW,
            "trackingNumber": "T1",
            "id": "1",
            "userId": "u",
        },
    ),
    (
        "chat-message",
        {"senderId": "s", "message": "m", "timestamp": NOW, "messageId": "1"},
    ),
    (
        "maintenance",
        {
            "planned": True,
            "duration": "2 hours",
            "timestamp": NOW,
            "startTime": "2030-05-01T12:30:00.000Z",
        },
    ),
    (
        "maintenance",
        {"planned": False, "duration": "1 h", "timestamp": NOW, "startTime": None},
    ),
    (
        "system-update",
        {
            "update": "u",
            "severity": "error",
            "timestamp": NOW,
            "requiresAction": True,
        },
    ),
    (
        "announcement",
        {
            "title": "t",
            "content": "c",
            "priority": "medium",
            "timestamp": NOW,
            "id": "a",
        },
    ),
    (
        "order-status",
        {
            "orderId": "o",
            "status": "processing",
            "message": "Order is being processed",
            "timestamp": NOW,
            "step": 1,
            "totalSteps": 4,
        },
    ),
    (
        "order-confirmation",
        {
            "orderId": "o",
            "status": "confirmed",
            "timestamp": NOW,
            "estimatedDelivery": "3-5 business days",
        },
    ),
    (
        "shipping-update",
        {
            "orderId": "o",
            "trackingNumber": "T1",
            "status": "shipped",
            "timestamp": NOW,
        },
    ),
    (
        "delivery-notification",
        {"orderId": "o", "status": "delivered", "timestamp": NOW},
    ),
    ("typing-indicator", {"senderId": "s", "isTyping": True, "timestamp": NOW}),
    ("read-receipt", {"messageId": "1", "timestamp": NOW}),
    (
        "system-health",
        {
            "status": "healthy",
            "timestamp": NOW,
            "uptime": 12.5,
            "memoryUsage": {"rss": 1, "heapTotal": 2, "heapUsed": 3, "external": 4},
        },
    ),
    (
        "maintenance-alert",
        {
            "planned": True,
            "duration": "1 h",
            "reason": "r",
            "timestamp": NOW,
            "startTime": "2030-05-01T12:30:00.000Z",
        },
    ),
]

# What the annotating patterns of the guide add to any event.
ANNOTATIONS: dict[str, Any] = {
    "groupId": "g",
    "adminOnly": True,
    "activeUser": True,
    "batchId": "b",
    "userId": "u",
    "id": "1",
}

# The wire fields of every event: required ones, optional ones, and their kinds.
COMMON = {
    "timestamp": "time",
    "id": "id",
    "userId": "id",
    "batchId": "id",
    "groupId": "id",
    "adminOnly": "flag",
    "activeUser": "flag",
    "priority": ("low", "normal", "high", "urgent"),
}
NOTIFICATION = (
    {"message": "text"},
    {
        "type": ("info", "warning", "error", "success"),
        "title": "text",
        "actionUrl": "text",
    },
)
MAINTENANCE = ({"planned": "flag", "duration": "text"}, {"startTime": "time?"})
Kinds = dict[str, Any]
SHAPES: dict[str, tuple[Kinds, Kinds]] = {
    "notification": NOTIFICATION,
    "user-notification": NOTIFICATION,
    "order-update": (
        {"orderId": "id", "status": "text"},
        {"estimatedDelivery": "text?", "trackingNumber": "text"},
    ),
    "order-status": (
        {
            "orderId": "id",
            "status": "text",
            "message": "text",
            "step": "step",
            "totalSteps": "total",
        },
        {},
    ),
    "order-confirmation": (
        {"orderId": "id", "status": "text"},
        {"estimatedDelivery": "text?"},
    ),
    "shipping-update": (
        {"orderId": "id", "trackingNumber": "text", "status": "text"},
        {},
    ),
    "delivery-notification": ({"orderId": "id", "status": "text"}, {}),
    "chat-message": ({"senderId": "id", "message": "text", "messageId": "id"}, {}),
    "typing-indicator": ({"senderId": "id", "isTyping": "flag"}, {}),
    "read-receipt": ({"messageId": "id"}, {}),
    "maintenance": MAINTENANCE,
    "system-maintenance": MAINTENANCE,
    "maintenance-alert": (MAINTENANCE[0] | {"reason": "text"}, MAINTENANCE[1]),
    "system-update": (
        {"update": "text", "severity": ("info", "warning", "error")},
        {"requiresAction": "flag"},
    ),
    "system-health": (
        {
            "status": ("healthy", "degraded", "down"),
            "uptime": "number",
            "memoryUsage": "numbers",
        },
        {},
    ),
    "announcement": (
        {"title": "text", "content": "text", "priority": ("low", "medium", "high")},
        {},
    ),
    "live-update": ({}, {}),
    "status-change": (
        {"status": "text"},
        {
            "previousStatus": "text?",
            "resource": "text",
            "resourceId": "id",
            "message": "text",
        },
    ),
    "progress-update": (
        {},
        {
            "taskId": "id",
            "current": "current",
            "total": "size",
            "percent": "percent",
            "status": ("running", "done", "failed"),
            "message": "text",
        },
    ),
}
# Absent, these are filled in.
FILLED_IN = {"timestamp", "type", "startTime", "requiresAction", "percent"} | {
    "status"  # of a progress-update only
}

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(timezones=st.none() | st.timezones())
iso_texts = st.one_of(
    st.datetimes().map(datetime.isoformat),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='milliseconds')}Z"),
)
VALID: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(),
    "text?": st.none() | st.text(),
    "id": st.text(),
    "flag": st.booleans(),
    "time": iso_texts,
    "time?": st.none() | iso_texts,
    "number": numbers,
    "numbers": st.dictionaries(st.text(), numbers),
    "step": st.integers(1, 10),
    "total": st.integers(10),
    "current": st.integers(0, 10) | st.floats(0, 10),
    "size": st.integers(10) | st.floats(10, 1e9),
    "percent": st.integers(0, 100) | st.floats(0, 100),
}
nothing = st.none()
texts = st.text()
flags = st.booleans()
odd_numbers = st.sampled_from([float("nan"), float("inf"), float("-inf")])
containers = st.lists(st.text()) | st.binary() | st.just(object())
objects = st.dictionaries(st.text(), st.text())
not_numbers = nothing | texts | flags | odd_numbers | containers | objects
not_texts = flags | numbers | containers | objects
not_times = not_texts | texts.filter(lambda text: "T" not in text)
INVALID: dict[str, st.SearchStrategy[Any]] = {
    "text": nothing | not_texts,
    "text?": not_texts,
    "id": nothing | flags | st.floats() | containers | objects,
    "flag": nothing | texts | numbers | containers | objects,
    "time": nothing | not_times,
    "time?": not_times,
    "number": not_numbers,
    "numbers": nothing
    | texts
    | flags
    | numbers
    | containers
    | st.dictionaries(st.text(), not_numbers, min_size=1)
    | st.dictionaries(st.integers(), numbers, min_size=1),
    "step": not_numbers | st.integers(max_value=0) | st.floats(1, 4),
    "total": not_numbers | st.integers(max_value=0) | st.floats(10, 20),
    "current": not_numbers | st.integers(max_value=-1) | st.floats(max_value=-0.1),
    "size": not_numbers | st.integers(max_value=-1) | st.floats(max_value=-0.1),
    "percent": not_numbers | st.integers(max_value=-1) | st.integers(101),
}


def good(kind: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(kind) if isinstance(kind, tuple) else VALID[kind]


def bad(kind: Any) -> st.SearchStrategy[Any]:
    if not isinstance(kind, tuple):
        return INVALID[kind]
    return nothing | not_texts | texts.filter(lambda text: text not in kind)


def kinds(name: str) -> Kinds:
    required, optional = SHAPES[name]
    return COMMON | optional | required


def valid_payloads(name: str) -> st.SearchStrategy[dict[str, Any]]:
    required, _ = SHAPES[name]
    return st.fixed_dictionaries(
        {key: good(kind) for key, kind in required.items()},
        optional={
            key: good(kind) for key, kind in kinds(name).items() if key not in required
        },
    )


events_and_payloads = st.sampled_from(sorted(SHAPES)).flatmap(
    lambda name: st.tuples(st.just(name), valid_payloads(name))
)


def snake_case(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)


@pytest.fixture(scope="module")
def registry() -> SchemaRegistry:
    return SchemaRegistry()


def refusal(
    registry: SchemaRegistry, name: str, data: Any, *, strict: bool = False
) -> dict[str, Any]:
    with pytest.raises(PayloadError) as caught:
        registry.prepare(name, data, strict=strict)
    assert type(caught.value.event) is str
    assert caught.value.event == name
    return caught.value.messages


# The guide


def test_every_name_has_a_shape_in_this_test() -> None:
    assert set(SHAPES) == set(EventName)


@pytest.mark.parametrize(("name", "payload"), GUIDE)
def test_the_guides_payloads_pass_unchanged(
    registry: SchemaRegistry, name: str, payload: dict[str, Any]
) -> None:
    assert registry.prepare(name, payload, strict=True) == payload


def test_the_guides_typed_example_is_an_info(registry: SchemaRegistry) -> None:
    payload = {"message": "m", "timestamp": NOW}
    prepared = registry.prepare(EventName.USER_NOTIFICATION, payload)
    assert prepared == payload | {"type": "info"}


@pytest.mark.parametrize(("name", "payload"), GUIDE)
def test_the_guides_annotations_fit_every_payload(
    registry: SchemaRegistry, name: str, payload: dict[str, Any]
) -> None:
    annotated = payload | ANNOTATIONS
    if name != "announcement":
        annotated["priority"] = "urgent"
    assert registry.prepare(name, annotated) == annotated


@pytest.mark.parametrize(("name", "payload"), GUIDE)
def test_snake_case_goes_out_as_camel_case(
    registry: SchemaRegistry, name: str, payload: dict[str, Any]
) -> None:
    written = {snake_case(key): value for key, value in payload.items()}
    assert registry.prepare(name, written) == payload


# Properties


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
        field: ["Given twice, in snake_case and in camelCase: give one."]
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


# Single rules


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2030-01-02T03:04:05Z", True),
        ("2030-01-02T03:04:05.678Z", True),
        ("2030-01-02T03:04:05.678901+02:00", True),
        ("2030-01-02T03:04:05", True),
        ("2030-01-02T03:04", True),
        ("2030-01-02", False),
        ("2030-01-02 03:04:05", False),
        ("2030-02-30T00:00:00Z", False),
        ("2030-01-02T25:00:00Z", False),
        ("Thu, 02 Jan 2030 03:04:05 GMT", False),
        ("T", False),
        ("", False),
    ],
)
def test_timestamp_texts(registry: SchemaRegistry, text: str, kept: bool) -> None:
    data = {"timestamp": text}
    if kept:
        assert registry.prepare("live-update", data) == data
    else:
        assert refusal(registry, "live-update", data) == {
            "timestamp": [
                "Not a valid timestamp: give a datetime or an ISO 8601 string such as "
                "2030-12-31T23:59:59.000Z."
            ]
        }


def test_an_absent_timestamp_is_now(registry: SchemaRegistry) -> None:
    for name in ("read-receipt", "no-schema"):
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        text = registry.prepare(name, {"messageId": "1"})["timestamp"]
        assert WIRE_TIME.fullmatch(text)
        assert before <= datetime.fromisoformat(text) <= datetime.now(UTC)


@pytest.mark.parametrize("name", ["maintenance", "system-maintenance"])
def test_a_planned_maintenance_starts_in_half_an_hour(
    registry: SchemaRegistry, name: str
) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    prepared = registry.prepare(name, {"planned": True, "duration": "1 h"})
    start = datetime.fromisoformat(prepared["startTime"])
    assert WIRE_TIME.fullmatch(prepared["startTime"])
    notice = timedelta(minutes=30)
    assert before + notice <= start <= datetime.now(UTC) + notice


def test_the_start_of_a_maintenance(registry: SchemaRegistry) -> None:
    unplanned = {"planned": False, "duration": "1 h"}
    assert registry.prepare("maintenance", unplanned)["startTime"] is None
    unknown = {"planned": True, "duration": "1 h", "start_time": None}
    assert registry.prepare("maintenance", unknown)["startTime"] is None
    noon = datetime(2030, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    known = {"planned": True, "duration": "1 h", "reason": "r", "startTime": noon}
    assert registry.prepare("maintenance-alert", known)["startTime"] == NOW


@pytest.mark.parametrize("severity", Severity)
def test_an_error_requires_action(registry: SchemaRegistry, severity: Severity) -> None:
    data = {"update": "u", "severity": severity}
    prepared = registry.prepare("system-update", data)
    assert prepared["requiresAction"] is (severity == "error")
    decided = registry.prepare("system-update", data | {"requiresAction": False})
    assert decided["requiresAction"] is False


@pytest.mark.parametrize(
    ("data", "percent"),
    [
        ({"current": 1, "total": 4}, 25),
        ({"current": 1, "total": 3}, 33.3),
        ({"current": 0, "total": 0}, None),
        ({"current": 7}, None),
        ({"current": 1, "total": 4, "percent": 50}, 50),
        ({}, None),
    ],
)
def test_progress_in_percent(
    registry: SchemaRegistry, data: dict[str, Any], percent: float | None
) -> None:
    prepared = registry.prepare("progress-update", data)
    assert prepared.get("percent") == percent
    assert prepared["status"] == "running"


def test_progress_is_within_its_total(registry: SchemaRegistry) -> None:
    data = {"current": 5, "total": 4}
    assert refusal(registry, "progress-update", data) == {
        "current": ["Must not be greater than total."]
    }


def test_a_live_update_carries_anything_under_names(registry: SchemaRegistry) -> None:
    data = {"user_id": 7, "seats_left": 3, "nested": {"a_b": [None]}, "timestamp": NOW}
    assert registry.prepare("live-update", data) == {
        "userId": "7",
        "seats_left": 3,
        "nested": {"a_b": [None]},
        "timestamp": NOW,
    }
    assert refusal(registry, "live-update", {1: "x"}) == {
        "1": ["Not a valid name: a key must be a string."]
    }


def test_members_of_enumerations_go_out_as_plain_text(
    registry: SchemaRegistry,
) -> None:
    class Status(str, Enum):  # noqa: UP042 - its str() is "Status.SHIPPED"
        SHIPPED = "shipped"

    prepared = registry.prepare(
        "order-update",
        {"order_id": "o", "status": Status.SHIPPED, "priority": Priority.HIGH},
    )
    assert type(prepared["status"]) is type(prepared["priority"]) is str
    assert (prepared["status"], prepared["priority"]) == ("shipped", "high")


@pytest.mark.parametrize(
    ("uptime", "text"),
    [
        (float("nan"), "Special numeric values (nan or infinity) are not permitted."),
        (float("inf"), "Special numeric values (nan or infinity) are not permitted."),
        ("1", "Not a valid number."),
        (True, "Not a valid number."),
        (None, "Field may not be null."),
    ],
)
def test_numbers_are_finite_numbers(
    registry: SchemaRegistry, uptime: object, text: str
) -> None:
    data = {"status": "down", "uptime": uptime, "memoryUsage": {"rss": uptime}}
    assert refusal(registry, "system-health", data) == {
        "uptime": [text],
        "memoryUsage": {"rss": {"value": [text]}},
    }


@pytest.mark.parametrize("value", [0, 1, "true", "", None, [], 1.0])
def test_flags_are_booleans(registry: SchemaRegistry, value: object) -> None:
    data = {"senderId": "s", "isTyping": value}
    assert refusal(registry, "typing-indicator", data).keys() == {"isTyping"}


@pytest.mark.parametrize("value", [True, 1.0, b"1", None, ["1"], {}])
def test_ids_are_texts_or_whole_numbers(
    registry: SchemaRegistry, value: object
) -> None:
    data = {"messageId": value}
    assert refusal(registry, "read-receipt", data).keys() == {"messageId"}


def test_an_id_too_long_to_write_is_refused(registry: SchemaRegistry) -> None:
    assert "messageId" in refusal(registry, "read-receipt", {"messageId": 10**5000})


def test_all_faults_are_told_at_once(registry: SchemaRegistry) -> None:
    data = {"orderId": 1.5, "step": "1", "totalSteps": 4, "message": "m", "x": 1}
    assert refusal(registry, "order-status", data) == {
        "orderId": ["Not a valid id: give a string, a whole number or a UUID."],
        "status": ["Missing data for required field."],
        "step": ["Not a valid integer."],
        "x": ["Unknown field."],
    }


def test_any_mapping_will_do(registry: SchemaRegistry) -> None:
    data = MappingProxyType({"message_id": "1", "timestamp": NOW})
    wire = {"messageId": "1", "timestamp": NOW}
    assert registry.prepare("read-receipt", data) == wire
    assert registry.prepare("no-schema", data) == dict(data)


@pytest.mark.parametrize("name", ["notification", "live-update", "no-schema"])
@pytest.mark.parametrize("data", [None, "text", b"x", 1, True, 1.5, [], [{}], (), {1}])
def test_bare_values_are_no_payload(
    registry: SchemaRegistry, name: str, data: object
) -> None:
    [text] = refusal(registry, name, data)["_schema"]
    assert text.startswith("Give a mapping")


def test_the_result_is_never_the_callers_own(registry: SchemaRegistry) -> None:
    usage = {"rss": 1}
    data = {"status": "down", "uptime": 1, "memoryUsage": usage, "timestamp": NOW}
    prepared = registry.prepare("system-health", data)
    assert prepared == data
    assert prepared is not data
    assert prepared["memoryUsage"] is not usage
    free = {"timestamp": NOW}
    assert registry.prepare("no-schema", free) is not free


# Objects


@dataclass
class Order:
    order_id: int
    status: object
    tracking_number: str | None = None
    estimated_delivery: str | None = None
    customer: str = "not the schema's business"


Receipt = namedtuple("Receipt", ["message_id", "count"])


def test_an_object_is_dumped_then_checked(registry: SchemaRegistry) -> None:
    prepared = registry.prepare("order-update", Order(7, "packed"))
    assert WIRE_TIME.fullmatch(prepared.pop("timestamp"))
    # None is "no value" where the wire knows no null, and null where it does.
    assert prepared == {"orderId": "7", "status": "packed", "estimatedDelivery": None}
    assert registry.prepare("read-receipt", Receipt(7, 1))["messageId"] == "7"


def test_an_objects_defaults_are_filled_in(registry: SchemaRegistry) -> None:
    note = SimpleNamespace(message="m", timestamp=datetime(2030, 5, 1, 12))  # noqa: DTZ001
    assert registry.prepare("notification", note) == {
        "type": "info",
        "message": "m",
        "timestamp": NOW,
    }
    update = SimpleNamespace(update="u", severity=Severity.ERROR)
    assert registry.prepare("system-update", update)["requiresAction"] is True


def test_an_object_is_judged_as_strictly_as_a_mapping(
    registry: SchemaRegistry,
) -> None:
    assert refusal(registry, "order-update", Order(7, 5)) == {
        "status": ["Not a valid string."]
    }
    assert refusal(registry, "order-update", Order(7, None)) == {
        "status": ["Field may not be null."]
    }
    health = SimpleNamespace(status="down", uptime="1", memory_usage=3)
    assert refusal(registry, "system-health", health) == {
        "uptime": ["Not a valid number."],
        "memoryUsage": ["Not a valid mapping type."],
    }
    health.memory_usage = {"rss": "3"}
    assert refusal(registry, "system-health", health) == {
        "uptime": ["Not a valid number."],
        "memoryUsage": {"rss": {"value": ["Not a valid number."]}},
    }


def test_an_objects_values_are_not_shared(registry: SchemaRegistry) -> None:
    usage = {"rss": 3}
    health = SimpleNamespace(status=HealthStatus.DOWN, uptime=1, memory_usage=usage)
    prepared = registry.prepare("system-health", health)
    assert prepared["memoryUsage"] == usage
    assert prepared["memoryUsage"] is not usage
    assert type(prepared["status"]) is str


def test_an_object_of_another_kind_is_refused(registry: SchemaRegistry) -> None:
    [text] = refusal(registry, "read-receipt", object())["_schema"]
    assert text.startswith("Give a mapping, or an object")


# The registry


def test_strict_refuses_names_without_schema(registry: SchemaRegistry) -> None:
    [text] = refusal(registry, "order-udpate", {}, strict=True)["_schema"]
    assert "SSE_PUSH_STRICT_EVENTS" in text
    assert "register_schema()" in text
    assert all(name in text for name in EventName)


def test_keys_without_schema_are_texts(registry: SchemaRegistry) -> None:
    assert refusal(registry, "no-schema", {"a": 1, 2: 3}) == {
        "2": ["Not a valid name: a key must be a string."]
    }


@pytest.mark.parametrize(
    "schema", [dict, {}, None, "NotificationSchema", object(), Schema(many=True)]
)
def test_only_a_schema_can_be_registered(schema: Any) -> None:
    with pytest.raises(ConfigError, match="'seat-taken'"):
        SchemaRegistry().register("seat-taken", schema)


@pytest.mark.parametrize("name", ["", None, 5])
def test_only_a_name_can_be_registered(name: Any) -> None:
    with pytest.raises(ConfigError, match="name"):
        SchemaRegistry().register(name, Schema)


class Names(str, Enum):  # noqa: UP042 - its str() is "Names.SEAT"
    SEAT = "seat-taken"
    NOTE = "notification"


def test_a_name_is_taken_by_its_value() -> None:
    registry = SchemaRegistry()
    registry.register(Names.SEAT, SeatTaken)
    assert "seat" in refusal(registry, "seat-taken", {})
    assert "seat" in refusal(registry, Names.SEAT, {}, strict=True)
    assert "message" in refusal(registry, Names.NOTE, {})
    assert registry.takes(Names.NOTE, "message")
    assert not registry.takes(Names.NOTE, "text")
    with pytest.raises(ConfigError, match="'seat-taken'"):
        registry.register(Names.SEAT, Schema(many=True))


def test_registries_are_apart() -> None:
    one, other = SchemaRegistry(), SchemaRegistry()
    one.register(EventName.LIVE_UPDATE, Schema)
    assert refusal(one, "live-update", {"a": 1}) == {"a": ["Unknown field."]}
    assert other.prepare("live-update", {"a": 1})["a"] == 1


class Seat(CamelCaseSchema):
    row_letter = Text(required=True)
    number = Whole(data_key="no")


class SeatTaken(PayloadSchema):
    seat = fields.Nested(Seat, required=True)
    taken_on = fields.Date()
    valid_until = Timestamp()
    items = fields.List(fields.String())


@pytest.mark.parametrize("schema", [SeatTaken, SeatTaken()])
def test_a_schema_of_ones_own(schema: type[Schema] | Schema) -> None:
    registry = SchemaRegistry()
    registry.register("seat-taken", schema)
    data = {
        "seat": {"row_letter": "A", "no": 3},
        "taken_on": "2030-05-01",
        "validUntil": datetime(2030, 5, 1, 12, tzinfo=UTC),
        "timestamp": NOW,
    }
    expected = {
        "seat": {"rowLetter": "A", "no": 3},
        "takenOn": "2030-05-01",
        "validUntil": NOW,
        "timestamp": NOW,
    }
    assert registry.prepare("seat-taken", data, strict=True) == expected
    taken = SimpleNamespace(
        seat=SimpleNamespace(row_letter="A", number=3),
        taken_on=date(2030, 5, 1),
        valid_until=NOW,
        timestamp=NOW,
        items=None,
    )
    assert registry.prepare("seat-taken", taken) == expected
    assert refusal(registry, "seat-taken", {"seat": {"number": 1, "no": 1}}) == {
        "seat": {
            "no": ["Given twice, in snake_case and in camelCase: give one."],
        }
    }


def test_none_within_an_object_is_absence_too() -> None:
    registry = SchemaRegistry()
    registry.register("seat-taken", SeatTaken)
    expected = {"seat": {"rowLetter": "A"}, "timestamp": NOW}
    seat = {"row_letter": "A", "no": None}
    for data in (
        {"seat": seat, "items": None, "taken_on": None, "timestamp": NOW},
        SimpleNamespace(
            seat=SimpleNamespace(row_letter="A", number=None), items=None, timestamp=NOW
        ),
    ):
        assert registry.prepare("seat-taken", data) == expected
    assert refusal(registry, "seat-taken", {"seat": {"row_letter": None}}) == {
        "seat": {"rowLetter": ["Field may not be null."]}
    }


def test_an_absent_timestamp_may_be_none(registry: SchemaRegistry) -> None:
    note = {"message": "m", "timestamp": None, "type": None}
    prepared = registry.prepare("notification", note)
    assert WIRE_TIME.fullmatch(prepared.pop("timestamp"))
    assert prepared == {"type": "info", "message": "m"}


def test_an_object_of_nothing_but_none_is_empty(registry: SchemaRegistry) -> None:
    row = SimpleNamespace(user_id=None)
    assert registry.prepare("live-update", row).keys() == {"timestamp"}


class PlainSchema(Schema):
    key = fields.Integer(dump_only=True)
    user_name = fields.String(required=True)
    secret = fields.String(load_only=True)
    level = fields.Integer(load_default=1)
    greeting = fields.Function(lambda user: f"Hello {user.user_name}")


def test_a_plain_schema_keeps_its_own_ways() -> None:
    registry = SchemaRegistry()
    registry.register("joined", PlainSchema(exclude=["greeting"]))
    prepared = registry.prepare("joined", {"user_name": "ann", "secret": "x"})
    assert WIRE_TIME.fullmatch(prepared.pop("timestamp"))
    assert prepared == {"user_name": "ann", "level": 1}
    assert refusal(registry, "joined", {"userName": "ann"}) == {
        "user_name": ["Missing data for required field."],
        "userName": ["Unknown field."],
    }


def test_a_plain_schema_dumps_an_object() -> None:
    registry = SchemaRegistry()
    registry.register("joined", PlainSchema)
    user = SimpleNamespace(key=5, user_name="ann", secret="x")
    prepared = registry.prepare("joined", user)
    assert WIRE_TIME.fullmatch(prepared.pop("timestamp"))
    assert prepared == {
        "key": 5,
        "user_name": "ann",
        "greeting": "Hello ann",
        "level": 1,
    }
    user.key = "five"
    [text] = refusal(registry, "joined", user)["_schema"]
    assert text.startswith("The object cannot be dumped: ")


def test_a_plain_schema_that_loads_objects() -> None:
    class UserSchema(PlainSchema):
        @post_load
        def make(self, data: dict[str, Any], **kwargs: Any) -> SimpleNamespace:
            return SimpleNamespace(**data)

    registry = SchemaRegistry()
    registry.register("joined", UserSchema)
    prepared = registry.prepare("joined", {"user_name": "ann"})
    assert prepared["greeting"] == "Hello ann"


@pytest.mark.parametrize(("unknown", "extra"), [(INCLUDE, {"extra": 1}), (EXCLUDE, {})])
def test_the_schemas_policy_for_unknown_fields(
    unknown: Literal["include", "exclude"], extra: dict[str, int]
) -> None:
    registry = SchemaRegistry()
    schema = Schema.from_dict({"a": fields.Integer(data_key="A")})
    registry.register("e", schema(unknown=unknown))
    data = {"A": 1, "extra": 1, "timestamp": NOW}
    prepared = registry.prepare("e", data)
    timestamp = prepared.pop("timestamp")
    assert (timestamp == NOW) is (unknown == INCLUDE)
    assert WIRE_TIME.fullmatch(timestamp)
    assert prepared == {"A": 1} | extra


def test_built_in_schemas_do_not_shadow_an_applications_own() -> None:
    class NotificationSchema(Schema):
        pass

    assert class_registry.get_class("NotificationSchema") is NotificationSchema
    with pytest.raises(RegistryError):
        class_registry.get_class("OrderUpdateSchema")


def test_threads_share_a_registry() -> None:
    registry = SchemaRegistry()

    def work(number: int) -> list[dict[str, Any]]:
        registry.register(f"own-{number}", SeatTaken)
        seat = {"seat": {"rowLetter": str(number)}, "timestamp": NOW}
        return [
            prepared
            for n in range(200)
            for prepared in (
                registry.prepare("chat-message", message(number, n)),
                registry.prepare(f"own-{number}", seat),
            )
        ]

    def message(number: int, n: int) -> Mapping[str, Any]:
        return {"sender_id": number, "message": str(n), "messageId": n}

    with ThreadPoolExecutor(8) as pool:
        results = [*pool.map(work, range(8))]
    for number, prepared in enumerate(results):
        chat, seats = prepared[::2], prepared[1::2]
        assert [p["messageId"] for p in chat] == [str(n) for n in range(200)]
        assert {p["senderId"] for p in chat} == {str(number)}
        assert {p["seat"]["rowLetter"] for p in seats} == {str(number)}


# The types


TYPES: dict[str, type] = {
    "notification": payloads.NotificationPayload,
    "user-notification": payloads.NotificationPayload,
    "order-update": payloads.OrderUpdatePayload,
    "order-status": payloads.OrderStatusPayload,
    "order-confirmation": payloads.OrderConfirmationPayload,
    "shipping-update": payloads.ShippingUpdatePayload,
    "delivery-notification": payloads.DeliveryNotificationPayload,
    "chat-message": payloads.ChatMessagePayload,
    "typing-indicator": payloads.TypingIndicatorPayload,
    "read-receipt": payloads.ReadReceiptPayload,
    "maintenance": payloads.MaintenancePayload,
    "system-maintenance": payloads.MaintenancePayload,
    "maintenance-alert": payloads.MaintenanceAlertPayload,
    "system-update": payloads.SystemUpdatePayload,
    "system-health": payloads.SystemHealthPayload,
    "announcement": payloads.AnnouncementPayload,
    "live-update": payloads.LiveUpdatePayload,
    "status-change": payloads.StatusChangePayload,
    "progress-update": payloads.ProgressUpdatePayload,
}


@pytest.mark.parametrize("name", EventName)
def test_types_schemas_and_shapes_agree(
    registry: SchemaRegistry, name: EventName
) -> None:
    schema = registry._schemas[name]
    hints = get_type_hints(TYPES[name], include_extras=True)
    required = {key for key, hint in hints.items() if get_origin(hint) != NotRequired}
    assert hints.keys() == schema.fields.keys()
    assert required == {key for key, field in schema.fields.items() if field.required}
    assert {camel_case(key) for key in hints} == kinds(name).keys()
    assert {camel_case(key) for key in required} == SHAPES[name][0].keys()
    nullable = {field.data_key for field in schema.fields.values() if field.allow_none}
    assert nullable == {
        key for key, kind in kinds(name).items() if kind in ("text?", "time?")
    }


@pytest.mark.parametrize(
    ("python", "wire"),
    [
        ("message", "message"),
        ("order_id", "orderId"),
        ("total_steps", "totalSteps"),
        ("a_b_c", "aBC"),
        ("step_1", "step1"),
        ("_private", "_private"),
        ("orderId", "orderId"),
    ],
)
def test_camel_case(python: str, wire: str) -> None:
    assert camel_case(python) == wire


def test_the_default_type_is_a_notification_type(registry: SchemaRegistry) -> None:
    prepared = registry.prepare("notification", {"message": "m"})
    assert NotificationType(prepared["type"]) is NotificationType.INFO
