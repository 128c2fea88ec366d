"""Schemas of a chat between two users."""

from __future__ import annotations

from .base import PayloadSchema
from .fields import Flag, Id, Text


class ChatMessageSchema(PayloadSchema):
    """``chat-message``."""

    sender_id = Id(required=True, metadata={"description": "The user who wrote it."})
    message = Text(required=True, metadata={"description": "The text."})
    message_id = Id(required=True, metadata={"description": "The id of the message."})


class TypingIndicatorSchema(PayloadSchema):
    """``typing-indicator``."""

    sender_id = Id(
        required=True,
        metadata={"description": "The user who is typing, or has stopped."},
    )
    is_typing = Flag(
        required=True, metadata={"description": "Whether the user is typing now."}
    )


class ReadReceiptSchema(PayloadSchema):
    """``read-receipt``."""

    message_id = Id(
        required=True, metadata={"description": "The message that has been read."}
    )
