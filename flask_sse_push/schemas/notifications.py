"""Schemas of notifications and announcements."""

from __future__ import annotations

from ..names import AnnouncementPriority, NotificationType
from .base import PayloadSchema
from .fields import Choice, Text


class NotificationSchema(PayloadSchema):
    """``notification`` and ``user-notification``; ``type`` is ``info`` when absent."""

    type = Choice(
        NotificationType,
        load_default=NotificationType.INFO.value,
        metadata={"description": "The kind of notification."},
    )
    message = Text(required=True, metadata={"description": "Text for the user."})
    title = Text(metadata={"description": "Its heading."})
    action_url = Text(metadata={"description": "Where a click on it leads."})


class AnnouncementSchema(PayloadSchema):
    """``announcement``; its ``priority`` is for the user, not the order of sending."""

    title = Text(required=True, metadata={"description": "Its heading."})
    content = Text(required=True, metadata={"description": "Text for the user."})
    priority = Choice(
        AnnouncementPriority,
        required=True,
        metadata={"description": "How it is shown; not the order of sending."},
    )
