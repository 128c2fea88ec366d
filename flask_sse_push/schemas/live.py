"""Schemas of live updates, status changes and progress, which the guide leaves open."""

from __future__ import annotations

from typing import Any

from marshmallow import INCLUDE, ValidationError, post_load, validate, validates_schema

from ..names import ProgressStatus
from .base import PayloadSchema
from .fields import Choice, Id, Number, Text


class LiveUpdateSchema(PayloadSchema):
    """``live-update``: any object; only the common fields of all payloads are checked.

    All other keys are sent exactly as they are written.
    """

    class Meta(PayloadSchema.Meta):
        unknown = INCLUDE


class StatusChangeSchema(PayloadSchema):
    """``status-change``: something (``resource``, ``resourceId``) has a new status."""

    status = Text(required=True)
    previous_status = Text(allow_none=True)
    resource = Text()
    resource_id = Id()
    message = Text()


class ProgressUpdateSchema(PayloadSchema):
    """``progress-update``: ``current`` of ``total`` of a task is done.

    ``status`` is ``running`` when absent. ``percent`` (0 to 100) is calculated from
    ``current`` and ``total`` when absent. If the total is unknown, leave out both
    ``total`` and ``percent``.
    """

    task_id = Id()
    current = Number(validate=validate.Range(min=0))
    total = Number(validate=validate.Range(min=0))
    percent = Number(validate=validate.Range(min=0, max=100))
    status = Choice(ProgressStatus, load_default=ProgressStatus.RUNNING.value)
    message = Text()

    @validates_schema
    def _current_within_total(self, data: dict[str, Any], **kwargs: Any) -> None:
        if "current" in data and "total" in data and data["current"] > data["total"]:
            raise ValidationError("Must not be greater than total.", "current")

    @post_load
    def _fill_in_percent(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        if "percent" not in data and "current" in data and data.get("total"):
            data["percent"] = round(100 * data["current"] / data["total"], 1)
        return data
