"""The rules of single fields, and the values that are filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest

from flask_sse_push.names import Priority, Severity
from flask_sse_push.schemas import SchemaRegistry
from tests.schemas.refusals import refusal
from tests.schemas.shapes import NOW, WIRE_TIME


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
                "Not a valid timestamp: it must be a datetime or an ISO 8601 string "
                "such as 2030-12-31T23:59:59.000Z."
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
        "1": ["Not a valid key: it must be a string."]
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
        "orderId": ["Not a valid id: it must be a string, a whole number or a UUID."],
        "status": ["Missing data for required field."],
        "step": ["Not a valid integer."],
        "x": ["Unknown field."],
    }


def test_an_absent_timestamp_may_be_none(registry: SchemaRegistry) -> None:
    note = {"message": "m", "timestamp": None, "type": None}
    prepared = registry.prepare("notification", note)
    assert WIRE_TIME.fullmatch(prepared.pop("timestamp"))
    assert prepared == {"type": "info", "message": "m"}
