"""The names of the built-in events, and the values that their data may have."""

from __future__ import annotations

from enum import StrEnum


class EventName(StrEnum):
    """The names of the events this package has schemas for.

    A member is a string (``EventName.ORDER_UPDATE == "order-update"``), so both
    spellings may be passed wherever an event's name is wanted.
    """

    USER_NOTIFICATION = "user-notification"
    ORDER_UPDATE = "order-update"
    CHAT_MESSAGE = "chat-message"
    SYSTEM_MAINTENANCE = "system-maintenance"
    SYSTEM_UPDATE = "system-update"
    ANNOUNCEMENT = "announcement"
    LIVE_UPDATE = "live-update"
    STATUS_CHANGE = "status-change"
    PROGRESS_UPDATE = "progress-update"
    NOTIFICATION = "notification"
    ORDER_STATUS = "order-status"
    ORDER_CONFIRMATION = "order-confirmation"
    SHIPPING_UPDATE = "shipping-update"
    DELIVERY_NOTIFICATION = "delivery-notification"
    TYPING_INDICATOR = "typing-indicator"
    READ_RECEIPT = "read-receipt"
    MAINTENANCE = "maintenance"
    MAINTENANCE_ALERT = "maintenance-alert"
    SYSTEM_HEALTH = "system-health"


class Priority(StrEnum):
    """Which event is sent first when several wait in the outbox."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        """The order of sending: 0 (``URGENT``) is first, 3 (``LOW``) last."""
        return _RANKS[self]


_RANKS = {
    Priority.URGENT: 0,
    Priority.HIGH: 1,
    Priority.NORMAL: 2,
    Priority.LOW: 3,
}


class NotificationType(StrEnum):
    """The ``type`` of a ``notification``."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    SUCCESS = "success"


class Severity(StrEnum):
    """The ``severity`` of a ``system-update``."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class AnnouncementPriority(StrEnum):
    """The ``priority`` in the data of an ``announcement``; not the sending order."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class HealthStatus(StrEnum):
    """The ``status`` of a ``system-health``."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"


class ProgressStatus(StrEnum):
    """The ``status`` of a ``progress-update``."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
