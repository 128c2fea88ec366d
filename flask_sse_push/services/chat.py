"""Events of a chat between two users."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from ..names import EventName
from ..payloads import (
    ChatMessagePayload,
    ReadReceiptPayload,
    TypingIndicatorPayload,
)

if TYPE_CHECKING:
    from ..payloads import IdValue
    from ..sending.receipt import Receipt
    from .sender import EventSender


class ChatEvents:
    """Sends chat messages between users, typing indicators and read receipts.

    :param sse: an ``SSEPush`` or a ``Publisher``.

    Every method returns the verb's receipt and raises what the verb raises.
    """

    def __init__(self, sse: EventSender) -> None:
        self._sse = sse

    def send_message(
        self,
        sender_id: IdValue,
        receiver_id: IdValue,
        message: str,
        *,
        message_id: IdValue | None = None,
    ) -> Receipt:
        """Send ``chat-message`` to the receiver.

        :param message_id: the id that a read receipt will refer to; 32 random
            hexadecimal digits unless given.
        """
        data: ChatMessagePayload = {
            "sender_id": sender_id,
            "message": message,
            "message_id": uuid.uuid4().hex if message_id is None else message_id,
        }
        return self._sse.send_to_user(receiver_id, EventName.CHAT_MESSAGE, data)

    def send_typing_indicator(
        self, receiver_id: IdValue, sender_id: IdValue, is_typing: bool
    ) -> Receipt:
        """Send ``typing-indicator``; only connected users get it, as it is not kept."""
        data: TypingIndicatorPayload = {"sender_id": sender_id, "is_typing": is_typing}
        return self._sse.send_to_user(
            receiver_id, EventName.TYPING_INDICATOR, data, store=False
        )

    def send_read_receipt(self, receiver_id: IdValue, message_id: IdValue) -> Receipt:
        """Send ``read-receipt`` to the sender of a message that has been read."""
        data: ReadReceiptPayload = {"message_id": message_id}
        return self._sse.send_to_user(receiver_id, EventName.READ_RECEIPT, data)
