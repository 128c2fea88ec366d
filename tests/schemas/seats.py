"""A schema as an application would define it."""

from __future__ import annotations

from marshmallow import fields

from flask_sse_push.schemas import CamelCaseSchema, PayloadSchema
from flask_sse_push.schemas.fields import Text, Timestamp, Whole


class Seat(CamelCaseSchema):
    row_letter = Text(required=True)
    number = Whole(data_key="no")


class SeatTaken(PayloadSchema):
    seat = fields.Nested(Seat, required=True)
    taken_on = fields.Date()
    valid_until = Timestamp()
    items = fields.List(fields.String())
