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

    status = Text(required=True, metadata={"description": "The new status."})
    previous_status = Text(
        allow_none=True, metadata={"description": "The status before."}
    )
    resource = Text(
        metadata={"description": "The kind of thing that has it, such as ``order``."}
    )
    resource_id = Id(metadata={"description": "Which one it is."})
    message = Text(metadata={"description": "Text for the user."})


class ProgressUpdateSchema(PayloadSchema):
    """``progress-update``: ``current`` of ``total`` of a task is done.

    ``status`` is ``running`` when absent. ``percent`` (0 to 100) is calculated from
    ``current`` and ``total`` when absent. If the total is unknown, leave out both
    ``total`` and ``percent``.
    """

    task_id = Id(metadata={"description": "The task; the same in all of its events."})
    current = Number(
        validate=validate.Range(min=0),
        metadata={"description": "How much is done; not more than ``total``."},
    )
    total = Number(
        validate=validate.Range(min=0),
        metadata={"description": "How much there is; absent if unknown."},
    )
    percent = Number(
        validate=validate.Range(min=0, max=100),
        metadata={
            "description": "Calculated from ``current`` and ``total`` when absent."
        },
    )
    status = Choice(
        ProgressStatus,
        load_default=ProgressStatus.RUNNING.value,
        metadata={"description": "Whether the task goes on."},
    )
    message = Text(metadata={"description": "Text for the user."})

    @validates_schema
    def _current_within_total(self, data: dict[str, Any], **kwargs: Any) -> None:
        if "current" in data and "total" in data and data["current"] > data["total"]:
            raise ValidationError("Must not be greater than total.", "current")

    @post_load
    def _fill_in_percent(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        if "percent" not in data and "current" in data and data.get("total"):
            data["percent"] = round(100 * data["current"] / data["total"], 1)
        return data
