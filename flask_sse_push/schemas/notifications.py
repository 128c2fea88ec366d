"""Schemas of notifications and announcements."""

from __future__ import annotations

from ..names import AnnouncementPriority, NotificationType
from .base import PayloadSchema
from .fields import Choice, Text


class NotificationSchema(PayloadSchema):
    """``notification`` and ``user-notification``; ``type`` is ``info`` when absent."""

    type = Choice(NotificationType, load_default=NotificationType.INFO.value)
    message = Text(required=True)
    title = Text()
    action_url = Text()


class AnnouncementSchema(PayloadSchema):
    """``announcement``; its ``priority`` is for the user, not the order of sending."""

    title = Text(required=True)
    content = Text(required=True)
    priority = Choice(AnnouncementPriority, required=True)
