"""Events about the system itself, for everybody."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from ..names import EventName
from ..payloads import (
    AnnouncementPayload,
    MaintenanceAlertPayload,
    MaintenancePayload,
    SystemHealthPayload,
    SystemUpdatePayload,
)
from .process import memory_usage, uptime_seconds

if TYPE_CHECKING:
    from ..payloads import (
        AnnouncementPriorityValue,
        HealthStatusValue,
        IdValue,
        SeverityValue,
        TimestampValue,
    )
    from ..sending.receipt import Receipt
    from .sender import EventSender


class SystemEvents:
    """Broadcasts events about the system: health, maintenance, updates, announcements.

    :param sse: an ``SSEPush`` or a ``Publisher``.

    Every method returns the verb's receipt and raises what the verb raises.
    """

    def __init__(self, sse: EventSender) -> None:
        self._sse = sse

    def broadcast_system_health(self, status: HealthStatusValue) -> Receipt:
        """Broadcast ``system-health``, with this process's uptime and memory.

        The numbers are those of the calling process: one worker, not all.
        """
        data: SystemHealthPayload = {
            "status": status,
            "uptime": uptime_seconds(),
            "memory_usage": memory_usage(),
        }
        return self._sse.broadcast(EventName.SYSTEM_HEALTH, data)

    health = broadcast_system_health

    def send_maintenance_alert(
        self,
        planned: bool,
        duration: str,
        reason: str,
        start_time: TimestampValue | None = None,
    ) -> Receipt:
        """Broadcast ``maintenance-alert``.

        :param duration: how long the maintenance takes, in words.
        :param start_time: when it starts. If left out, it is 30 minutes from now for a
            planned maintenance and null for any other.
        """
        data: MaintenanceAlertPayload = {
            "planned": planned,
            "duration": duration,
            "reason": reason,
        }
        if start_time is not None:
            data["start_time"] = start_time
        return self._sse.broadcast(EventName.MAINTENANCE_ALERT, data)

    def broadcast_maintenance(
        self,
        planned: bool,
        duration: str,
        start_time: TimestampValue | None = None,
    ) -> Receipt:
        """Broadcast ``maintenance``, with the parameters of the alert."""
        data: MaintenancePayload = {"planned": planned, "duration": duration}
        if start_time is not None:
            data["start_time"] = start_time
        return self._sse.broadcast(EventName.MAINTENANCE, data)

    def broadcast_system_update(self, update: str, severity: SeverityValue) -> Receipt:
        """Broadcast ``system-update``; severity ``error`` sets ``requiresAction``."""
        data: SystemUpdatePayload = {"update": update, "severity": severity}
        return self._sse.broadcast(EventName.SYSTEM_UPDATE, data)

    def broadcast_announcement(
        self,
        title: str,
        content: str,
        priority: AnnouncementPriorityValue,
        id: IdValue | None = None,
    ) -> Receipt:
        """Broadcast ``announcement``.

        :param priority: shown to the user; it does not change the order of sending.
        :param id: the announcement's id; 32 random hexadecimal digits unless given.
        """
        data: AnnouncementPayload = {
            "title": title,
            "content": content,
            "priority": priority,
            "id": uuid.uuid4().hex if id is None else id,
        }
        return self._sse.broadcast(EventName.ANNOUNCEMENT, data)
