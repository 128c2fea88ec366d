from __future__ import annotations

import json
from enum import StrEnum

import pytest

from flask_sse_push.names import (
    AnnouncementPriority,
    EventName,
    HealthStatus,
    NotificationType,
    Priority,
    ProgressStatus,
    Severity,
)


def test_event_names_are_the_guides() -> None:
    constants = {
        "USER_NOTIFICATION": "user-notification",
        "ORDER_UPDATE": "order-update",
        "CHAT_MESSAGE": "chat-message",
        "SYSTEM_MAINTENANCE": "system-maintenance",
        "SYSTEM_UPDATE": "system-update",
        "ANNOUNCEMENT": "announcement",
        "LIVE_UPDATE": "live-update",
        "STATUS_CHANGE": "status-change",
        "PROGRESS_UPDATE": "progress-update",
    }
    sent = {
        "notification",
        "order-status",
        "order-confirmation",
        "shipping-update",
        "delivery-notification",
        "typing-indicator",
        "read-receipt",
        "maintenance",
        "maintenance-alert",
        "system-health",
    }
    assert {name: EventName[name].value for name in constants} == constants
    assert set(EventName) == {*constants.values(), *sent}


def test_a_constant_is_spelled_as_its_value() -> None:
    for name in EventName:
        assert name.name == name.value.replace("-", "_").upper()


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (Priority, ["low", "normal", "high", "urgent"]),
        (NotificationType, ["info", "warning", "error", "success"]),
        (Severity, ["info", "warning", "error"]),
        (AnnouncementPriority, ["low", "medium", "high"]),
        (HealthStatus, ["healthy", "degraded", "down"]),
        (ProgressStatus, ["running", "done", "failed"]),
    ],
)
def test_words(words: type[StrEnum], values: list[str]) -> None:
    assert [word.value for word in words] == values
    assert [str(word) for word in words] == values
    assert json.loads(json.dumps([*words])) == values


def test_urgent_leaves_first_and_low_last() -> None:
    by_rank = sorted(Priority, key=lambda priority: priority.rank)
    assert by_rank == [Priority.URGENT, Priority.HIGH, Priority.NORMAL, Priority.LOW]
    assert [priority.rank for priority in by_rank] == [0, 1, 2, 3]
