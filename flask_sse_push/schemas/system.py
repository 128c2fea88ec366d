"""Schemas of events about the system: maintenance, updates, health."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import post_load

from ..events import timestamp
from ..names import HealthStatus, Severity
from .base import PayloadSchema
from .fields import (
    Choice,
    Flag,
    Number,
    Numbers,
    Text,
    Timestamp,
)

MAINTENANCE_NOTICE = timedelta(minutes=30)
"""The time until a planned maintenance starts, if no start time is given."""


class MaintenanceSchema(PayloadSchema):
    """``maintenance`` and ``system-maintenance``.

    When ``startTime`` is absent, it is 30 minutes from now for a planned maintenance
    and null for any other.
    """

    planned = Flag(required=True, metadata={"description": "Whether it is planned."})
    duration = Text(
        required=True, metadata={"description": "How long it takes, as text."}
    )
    start_time = Timestamp(
        allow_none=True,
        metadata={
            "description": "When it starts; when absent, 30 minutes from now if it is "
            "planned, else null."
        },
    )

    @post_load
    def _fill_in_start(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        if "start_time" not in data:
            data["start_time"] = (
                timestamp(datetime.now(UTC) + MAINTENANCE_NOTICE)
                if data["planned"]
                else None
            )
        return data


class MaintenanceAlertSchema(MaintenanceSchema):
    """``maintenance-alert``: a maintenance and the reason for it."""

    reason = Text(required=True, metadata={"description": "Why it is needed."})


class SystemUpdateSchema(PayloadSchema):
    """``system-update``; ``requiresAction`` is true by default for errors only."""

    update = Text(required=True, metadata={"description": "Text for the user."})
    severity = Choice(
        Severity, required=True, metadata={"description": "How serious it is."}
    )
    requires_action = Flag(
        metadata={
            "description": "Whether the user must act; when absent, true for ``error``."
        }
    )

    @post_load
    def _fill_in_action(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        data.setdefault("requires_action", data["severity"] == Severity.ERROR)
        return data


class SystemHealthSchema(PayloadSchema):
    """``system-health``: ``uptime`` in seconds, ``memoryUsage`` in bytes by kind."""

    status = Choice(
        HealthStatus, required=True, metadata={"description": "How the system is."}
    )
    uptime = Number(
        required=True, metadata={"description": "Seconds since it started."}
    )
    memory_usage = Numbers(
        required=True, metadata={"description": "Bytes by kind, such as ``rss``."}
    )
