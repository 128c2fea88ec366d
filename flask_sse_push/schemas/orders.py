"""Schemas of the events of an order."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, validate, validates_schema

from .base import PayloadSchema
from .fields import Id, Text, Whole


class OrderUpdateSchema(PayloadSchema):
    """``order-update``; ``estimatedDelivery`` may be null."""

    order_id = Id(required=True)
    status = Text(required=True)
    estimated_delivery = Text(allow_none=True)
    tracking_number = Text()


class OrderStatusSchema(PayloadSchema):
    """``order-status``: one of the steps 1 to ``totalSteps`` of an order."""

    order_id = Id(required=True)
    status = Text(required=True)
    message = Text(required=True)
    step = Whole(required=True, validate=validate.Range(min=1))
    total_steps = Whole(required=True, validate=validate.Range(min=1))

    @validates_schema
    def _step_within_total(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["step"] > data["total_steps"]:
            raise ValidationError("Must not be greater than totalSteps.", "step")


class OrderConfirmationSchema(PayloadSchema):
    """``order-confirmation``; ``estimatedDelivery`` may be null."""

    order_id = Id(required=True)
    status = Text(required=True)
    estimated_delivery = Text(allow_none=True)


class ShippingUpdateSchema(PayloadSchema):
    """``shipping-update``."""

    order_id = Id(required=True)
    tracking_number = Text(required=True)
    status = Text(required=True)


class DeliveryNotificationSchema(PayloadSchema):
    """``delivery-notification``."""

    order_id = Id(required=True)
    status = Text(required=True)
