"""Schemas of the events of an order."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, validate, validates_schema

from .base import PayloadSchema
from .fields import Id, Text, Whole


class OrderUpdateSchema(PayloadSchema):
    """``order-update``; ``estimatedDelivery`` may be null."""

    order_id = Id(required=True, metadata={"description": "The order."})
    status = Text(required=True, metadata={"description": "Its new status."})
    estimated_delivery = Text(
        allow_none=True, metadata={"description": "When it will arrive, as text."}
    )
    tracking_number = Text(metadata={"description": "The number at the carrier."})


class OrderStatusSchema(PayloadSchema):
    """``order-status``: one of the steps 1 to ``totalSteps`` of an order."""

    order_id = Id(required=True, metadata={"description": "The order."})
    status = Text(required=True, metadata={"description": "Its status."})
    message = Text(required=True, metadata={"description": "Text for the user."})
    step = Whole(
        required=True,
        validate=validate.Range(min=1),
        metadata={
            "description": "The number of this step; not more than ``totalSteps``."
        },
    )
    total_steps = Whole(
        required=True,
        validate=validate.Range(min=1),
        metadata={"description": "How many steps there are."},
    )

    @validates_schema
    def _step_within_total(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["step"] > data["total_steps"]:
            raise ValidationError("Must not be greater than totalSteps.", "step")


class OrderConfirmationSchema(PayloadSchema):
    """``order-confirmation``; ``estimatedDelivery`` may be null."""

    order_id = Id(required=True, metadata={"description": "The order."})
    status = Text(required=True, metadata={"description": "Its status."})
    estimated_delivery = Text(
        allow_none=True, metadata={"description": "When it will arrive, as text."}
    )


class ShippingUpdateSchema(PayloadSchema):
    """``shipping-update``."""

    order_id = Id(required=True, metadata={"description": "The order."})
    tracking_number = Text(
        required=True, metadata={"description": "The number at the carrier."}
    )
    status = Text(required=True, metadata={"description": "Its status."})


class DeliveryNotificationSchema(PayloadSchema):
    """``delivery-notification``."""

    order_id = Id(required=True, metadata={"description": "The order."})
    status = Text(required=True, metadata={"description": "Its status."})
