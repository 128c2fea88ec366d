"""Event data may be a mapping or an object, but not a plain value."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType, SimpleNamespace

import pytest

from flask_sse_push.names import HealthStatus, Severity
from flask_sse_push.schemas import SchemaRegistry
from tests.schemas.refusals import refusal
from tests.schemas.shapes import NOW, WIRE_TIME


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
    assert text.startswith("Pass a mapping")


def test_the_result_is_never_the_callers_own(registry: SchemaRegistry) -> None:
    usage = {"rss": 1}
    data = {"status": "down", "uptime": 1, "memoryUsage": usage, "timestamp": NOW}
    prepared = registry.prepare("system-health", data)
    assert prepared == data
    assert prepared is not data
    assert prepared["memoryUsage"] is not usage
    free = {"timestamp": NOW}
    assert registry.prepare("no-schema", free) is not free


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
    # None means absent, except for fields that allow null.
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
    assert text.startswith("Pass a mapping, or an object")


def test_an_object_of_nothing_but_none_is_empty(registry: SchemaRegistry) -> None:
    row = SimpleNamespace(user_id=None)
    assert registry.prepare("live-update", row).keys() == {"timestamp"}
