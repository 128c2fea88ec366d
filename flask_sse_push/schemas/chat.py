"""Schemas of a chat between two users."""

from __future__ import annotations

from .base import PayloadSchema
from .fields import Flag, Id, Text


class ChatMessageSchema(PayloadSchema):
    """``chat-message``."""

    sender_id = Id(required=True)
    message = Text(required=True)
    message_id = Id(required=True)


class TypingIndicatorSchema(PayloadSchema):
    """``typing-indicator``."""

    sender_id = Id(required=True)
    is_typing = Flag(required=True)


class ReadReceiptSchema(PayloadSchema):
    """``read-receipt``."""

    message_id = Id(required=True)
