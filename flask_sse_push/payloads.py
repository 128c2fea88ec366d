"""The types of the built-in events' data, for type checkers and editors.

The keys are in Python's snake_case; the schemas accept the camelCase of the wire too.
Annotate a payload so that a type checker finds mistakes in it::

    data: OrderUpdatePayload = {"order_id": order.id, "status": "shipped"}
    sse.send_to_user(order.user_id, EventName.ORDER_UPDATE, data)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NotRequired, TypeAlias, TypedDict
from uuid import UUID

from .names import (
    AnnouncementPriority,
    HealthStatus,
    NotificationType,
    Priority,
    ProgressStatus,
    Severity,
)

IdValue: TypeAlias = str | int | UUID
"""An id; it is sent as text."""

TimestampValue: TypeAlias = str | datetime
"""ISO 8601 text, or a datetime (one without a time zone is taken as UTC)."""

NotificationTypeValue: TypeAlias = (
    NotificationType | Literal["info", "warning", "error", "success"]
)
SeverityValue: TypeAlias = Severity | Literal["info", "warning", "error"]
AnnouncementPriorityValue: TypeAlias = (
    AnnouncementPriority | Literal["low", "medium", "high"]
)
HealthStatusValue: TypeAlias = HealthStatus | Literal["healthy", "degraded", "down"]
ProgressStatusValue: TypeAlias = ProgressStatus | Literal["running", "done", "failed"]
PriorityValue: TypeAlias = Priority | Literal["low", "normal", "high", "urgent"]


class _CommonPayload(TypedDict):
    timestamp: NotRequired[TimestampValue]
    id: NotRequired[IdValue]
    user_id: NotRequired[IdValue]
    batch_id: NotRequired[IdValue]
    group_id: NotRequired[IdValue]
    admin_only: NotRequired[bool]
    active_user: NotRequired[bool]


class BasePayload(_CommonPayload):
    """The keys that the data of every event may have."""

    priority: NotRequired[PriorityValue]


class NotificationPayload(BasePayload):
    """``notification`` and ``user-notification``."""

    type: NotRequired[NotificationTypeValue]
    message: str
    title: NotRequired[str]
    action_url: NotRequired[str]


class AnnouncementPayload(_CommonPayload):
    """``announcement``."""

    title: str
    content: str
    priority: AnnouncementPriorityValue


class OrderUpdatePayload(BasePayload):
    """``order-update``."""

    order_id: IdValue
    status: str
    estimated_delivery: NotRequired[str | None]
    tracking_number: NotRequired[str]


class OrderStatusPayload(BasePayload):
    """``order-status``."""

    order_id: IdValue
    status: str
    message: str
    step: int
    total_steps: int


class OrderConfirmationPayload(BasePayload):
    """``order-confirmation``."""

    order_id: IdValue
    status: str
    estimated_delivery: NotRequired[str | None]


class ShippingUpdatePayload(BasePayload):
    """``shipping-update``."""

    order_id: IdValue
    tracking_number: str
    status: str


class DeliveryNotificationPayload(BasePayload):
    """``delivery-notification``."""

    order_id: IdValue
    status: str


class ChatMessagePayload(BasePayload):
    """``chat-message``."""

    sender_id: IdValue
    message: str
    message_id: IdValue


class TypingIndicatorPayload(BasePayload):
    """``typing-indicator``."""

    sender_id: IdValue
    is_typing: bool


class ReadReceiptPayload(BasePayload):
    """``read-receipt``."""

    message_id: IdValue


class MaintenancePayload(BasePayload):
    """``maintenance`` and ``system-maintenance``."""

    planned: bool
    duration: str
    start_time: NotRequired[TimestampValue | None]


class MaintenanceAlertPayload(MaintenancePayload):
    """``maintenance-alert``."""

    reason: str


class SystemUpdatePayload(BasePayload):
    """``system-update``."""

    update: str
    severity: SeverityValue
    requires_action: NotRequired[bool]


class SystemHealthPayload(BasePayload):
    """``system-health``; ``uptime`` in seconds, ``memory_usage`` in bytes by kind."""

    status: HealthStatusValue
    uptime: float
    memory_usage: Mapping[str, float]


class LiveUpdatePayload(BasePayload):
    """``live-update``: these keys are checked, and any others are allowed.

    A ``TypedDict`` cannot allow arbitrary keys: use a plain dict for those.
    """


class StatusChangePayload(BasePayload):
    """``status-change``."""

    status: str
    previous_status: NotRequired[str | None]
    resource: NotRequired[str]
    resource_id: NotRequired[IdValue]
    message: NotRequired[str]


class ProgressUpdatePayload(BasePayload):
    """``progress-update``; ``percent`` is 0 to 100."""

    task_id: NotRequired[IdValue]
    current: NotRequired[float]
    total: NotRequired[float]
    percent: NotRequired[float]
    status: NotRequired[ProgressStatusValue]
    message: NotRequired[str]
