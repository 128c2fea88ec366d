"""The guide's payloads, and the fields of every event with their types."""

from __future__ import annotations

import re
from typing import Any

NOW = "2030-05-01T12:00:00.000Z"
WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# Every payload of the guide, with exactly the guide's keys.
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
# The keys that the guide's patterns add to any event.
ANNOTATIONS: dict[str, Any] = {
    "groupId": "g",
    "adminOnly": True,
    "activeUser": True,
    "batchId": "b",
    "userId": "u",
    "id": "1",
}
# The fields of every event on the wire: required and optional, with their types.
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
# These are filled in when absent.
FILLED_IN = {"timestamp", "type", "startTime", "requiresAction", "percent"} | {
    "status"  # for progress-update only
}


def kinds(name: str) -> Kinds:
    required, optional = SHAPES[name]
    return COMMON | optional | required


def snake_case(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)
