"""The guide's payloads match the schemas and the types in ``payloads``."""

from __future__ import annotations

from typing import Any, NotRequired, get_origin, get_type_hints

import pytest

from flask_sse_push import payloads
from flask_sse_push.names import EventName, NotificationType
from flask_sse_push.schemas import SchemaRegistry
from flask_sse_push.schemas.base import camel_case
from tests.schemas.shapes import ANNOTATIONS, GUIDE, NOW, SHAPES, kinds, snake_case


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
