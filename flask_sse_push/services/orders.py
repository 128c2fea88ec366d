"""Events about an order, for the user who placed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..names import EventName
from ..payloads import (
    DeliveryNotificationPayload,
    OrderConfirmationPayload,
    OrderUpdatePayload,
    ShippingUpdatePayload,
)

if TYPE_CHECKING:
    from ..payloads import IdValue
    from ..sending.receipt import Receipt
    from .sender import EventSender


class OrderEvents:
    """Sends users events about their orders.

    :param sse: an ``SSEPush`` or a ``Publisher``.

    Every method returns the verb's receipt and raises what the verb raises.
    """

    def __init__(self, sse: EventSender) -> None:
        self._sse = sse

    def send_order_update(
        self,
        user_id: IdValue,
        order_id: IdValue,
        status: str,
        *,
        estimated_delivery: str | None = None,
        tracking_number: str | None = None,
    ) -> Receipt:
        """Send ``order-update``: an order has a new status.

        :param estimated_delivery: when the order arrives, in words. If left out, it is
            "2-3 business days" for the status ``shipped`` and null for any other.
        :param tracking_number: left out of the data if ``None``.
        """
        if estimated_delivery is None and status == "shipped":
            estimated_delivery = "2-3 business days"
        data: OrderUpdatePayload = {
            "order_id": order_id,
            "status": status,
            "estimated_delivery": estimated_delivery,
        }
        if tracking_number is not None:
            data["tracking_number"] = tracking_number
        return self._sse.send_to_user(user_id, EventName.ORDER_UPDATE, data)

    def send_order_confirmation(
        self,
        user_id: IdValue,
        order_id: IdValue,
        estimated_delivery: str | None = "3-5 business days",
    ) -> Receipt:
        """Send ``order-confirmation``: the order is accepted.

        :param estimated_delivery: when the order arrives, in words, or ``None``.
        """
        data: OrderConfirmationPayload = {
            "order_id": order_id,
            "status": "confirmed",
            "estimated_delivery": estimated_delivery,
        }
        return self._sse.send_to_user(user_id, EventName.ORDER_CONFIRMATION, data)

    def send_shipping_update(
        self, user_id: IdValue, order_id: IdValue, tracking_number: str
    ) -> Receipt:
        """Send ``shipping-update``: the order is on its way."""
        data: ShippingUpdatePayload = {
            "order_id": order_id,
            "tracking_number": tracking_number,
            "status": "shipped",
        }
        return self._sse.send_to_user(user_id, EventName.SHIPPING_UPDATE, data)

    def send_delivery_notification(
        self, user_id: IdValue, order_id: IdValue
    ) -> Receipt:
        """Send ``delivery-notification``: the order has arrived."""
        data: DeliveryNotificationPayload = {
            "order_id": order_id,
            "status": "delivered",
        }
        return self._sse.send_to_user(user_id, EventName.DELIVERY_NOTIFICATION, data)
