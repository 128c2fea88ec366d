from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flask_sse_push.errors import PayloadError
from flask_sse_push.names import Priority
from flask_sse_push.schemas import SchemaRegistry
from flask_sse_push.sending.receipt import Receipt
from flask_sse_push.services import ChatEvents, OrderEvents, SystemEvents
from flask_sse_push.services.process import memory_usage, uptime_seconds
from tests.support.servers import ROOT

HEX_ID = re.compile(r"[0-9a-f]{32}")
has_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="needs Linux's /proc"
)


@dataclass
class Sent:
    to: object
    event: str
    payload: dict[str, Any]
    receipt: Receipt
    options: dict[str, object]


class Recorder:
    """A sender that checks each payload like the real one, and records it."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self._registry = SchemaRegistry()

    def send_to_user(
        self,
        user_id: object,
        event: str,
        data: Mapping[str, Any],
        *,
        priority: Priority = Priority.NORMAL,
        store: bool = True,
        id: str | None = None,
    ) -> Receipt:
        return self._keep(user_id, event, data, priority=priority, store=store, id=id)

    def broadcast(
        self,
        event: str,
        data: Mapping[str, Any],
        *,
        priority: Priority = Priority.NORMAL,
        store: bool = True,
        id: str | None = None,
    ) -> Receipt:
        return self._keep("all", event, data, priority=priority, store=store, id=id)

    def _keep(
        self, to: object, event: str, data: Mapping[str, Any], **options: object
    ) -> Receipt:
        payload = self._registry.prepare(event, data, strict=True)
        payload.pop("timestamp")
        receipt = Receipt(connected=None)
        self.sent.append(Sent(to, event, payload, receipt, options))
        return receipt

    def last(self, receipt: Receipt) -> Sent:
        """The only event that was sent, which must belong to this receipt."""
        [sent] = self.sent
        assert sent.receipt is receipt
        self.sent.clear()
        return sent


ORDINARY = {"priority": Priority.NORMAL, "store": True, "id": None}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


# Orders


def test_order_confirmation(recorder: Recorder) -> None:
    orders = OrderEvents(recorder)
    sent = recorder.last(orders.send_order_confirmation(42, "o1"))
    assert (sent.to, sent.event) == (42, "order-confirmation")
    assert sent.options == ORDINARY
    assert sent.payload == {
        "orderId": "o1",
        "status": "confirmed",
        "estimatedDelivery": "3-5 business days",
    }
    sent = recorder.last(orders.send_order_confirmation(42, 7, "tomorrow"))
    assert sent.payload["orderId"] == "7"
    assert sent.payload["estimatedDelivery"] == "tomorrow"


def test_shipping_update(recorder: Recorder) -> None:
    sent = recorder.last(OrderEvents(recorder).send_shipping_update("u", "o", "T1"))
    assert (sent.to, sent.event, sent.options) == ("u", "shipping-update", ORDINARY)
    assert sent.payload == {
        "orderId": "o",
        "trackingNumber": "T1",
        "status": "shipped",
    }


def test_delivery_notification(recorder: Recorder) -> None:
    sent = recorder.last(OrderEvents(recorder).send_delivery_notification("u", "o"))
    assert (sent.to, sent.event) == ("u", "delivery-notification")
    assert sent.options == ORDINARY
    assert sent.payload == {"orderId": "o", "status": "delivered"}


@pytest.mark.parametrize(
    ("status", "options", "payload"),
    [
        ("shipped", {}, {"estimatedDelivery": "2-3 business days"}),
        ("packed", {}, {"estimatedDelivery": None}),
        (
            "shipped",
            {"estimated_delivery": "today", "tracking_number": "T1"},
            {"estimatedDelivery": "today", "trackingNumber": "T1"},
        ),
    ],
)
def test_order_update(
    recorder: Recorder, status: str, options: dict[str, str], payload: dict[str, Any]
) -> None:
    orders = OrderEvents(recorder)
    sent = recorder.last(orders.send_order_update("u", "o", status, **options))
    assert (sent.to, sent.event, sent.options) == ("u", "order-update", ORDINARY)
    assert sent.payload == {"orderId": "o", "status": status} | payload


def test_a_wrong_argument_is_refused_and_nothing_is_sent(recorder: Recorder) -> None:
    orders = OrderEvents(recorder)
    with pytest.raises(PayloadError) as caught:
        orders.send_shipping_update("u", "o", 5)  # type: ignore[arg-type]
    assert caught.value.messages == {"trackingNumber": ["Not a valid string."]}
    assert recorder.sent == []


# Chat


def test_chat_message(recorder: Recorder) -> None:
    chat = ChatEvents(recorder)
    ids = set()
    for _ in range(2):
        sent = recorder.last(chat.send_message("ann", "bob", "hello"))
        assert (sent.to, sent.event, sent.options) == ("bob", "chat-message", ORDINARY)
        assert HEX_ID.fullmatch(sent.payload["messageId"])
        ids.add(sent.payload.pop("messageId"))
        assert sent.payload == {"senderId": "ann", "message": "hello"}
    assert len(ids) == 2
    sent = recorder.last(chat.send_message("ann", "bob", "hello", message_id=0))
    assert sent.payload["messageId"] == "0"


@pytest.mark.parametrize("is_typing", [True, False])
def test_typing_indicator_is_not_stored(recorder: Recorder, is_typing: bool) -> None:
    chat = ChatEvents(recorder)
    sent = recorder.last(chat.send_typing_indicator("bob", "ann", is_typing))
    assert (sent.to, sent.event) == ("bob", "typing-indicator")
    assert sent.payload == {"senderId": "ann", "isTyping": is_typing}
    assert sent.options == ORDINARY | {"store": False}


def test_read_receipt(recorder: Recorder) -> None:
    sent = recorder.last(ChatEvents(recorder).send_read_receipt("ann", "m1"))
    assert (sent.to, sent.event, sent.options) == ("ann", "read-receipt", ORDINARY)
    assert sent.payload == {"messageId": "m1"}


# The system


@pytest.mark.parametrize("method", ["broadcast_system_health", "health"])
def test_system_health(recorder: Recorder, method: str) -> None:
    before = uptime_seconds()
    receipt = getattr(SystemEvents(recorder), method)("degraded")
    after = uptime_seconds()
    sent = recorder.last(receipt)
    assert (sent.to, sent.event, sent.options) == ("all", "system-health", ORDINARY)
    assert sent.payload.keys() == {"status", "uptime", "memoryUsage"}
    assert sent.payload["status"] == "degraded"
    assert before <= sent.payload["uptime"] <= after
    assert sent.payload["memoryUsage"].keys() == memory_usage().keys()


@pytest.mark.parametrize("alert", [True, False])
def test_maintenance(recorder: Recorder, alert: bool) -> None:
    system = SystemEvents(recorder)

    def announce(planned: bool, *start: str) -> dict[str, Any]:
        if alert:
            receipt = system.send_maintenance_alert(planned, "1 h", "disks", *start)
        else:
            receipt = system.broadcast_maintenance(planned, "1 h", *start)
        sent = recorder.last(receipt)
        assert sent.event == ("maintenance-alert" if alert else "maintenance")
        assert (sent.to, sent.options) == ("all", ORDINARY)
        assert sent.payload.get("reason") == ("disks" if alert else None)
        assert sent.payload["planned"] is planned
        assert sent.payload["duration"] == "1 h"
        return sent.payload

    assert announce(False)["startTime"] is None
    noon = "2030-05-01T12:00:00.000Z"
    assert announce(True, noon)["startTime"] == noon
    start = datetime.fromisoformat(announce(True)["startTime"])
    assert start - datetime.now(UTC) <= timedelta(minutes=30)
    assert start > datetime.now(UTC)


@pytest.mark.parametrize("severity", ["info", "warning", "error"])
def test_system_update(recorder: Recorder, severity: Any) -> None:
    system = SystemEvents(recorder)
    sent = recorder.last(system.broadcast_system_update("v2", severity))
    assert (sent.to, sent.event, sent.options) == ("all", "system-update", ORDINARY)
    assert sent.payload == {
        "update": "v2",
        "severity": severity,
        "requiresAction": severity == "error",
    }


def test_announcement(recorder: Recorder) -> None:
    system = SystemEvents(recorder)
    sent = recorder.last(system.broadcast_announcement("t", "c", "high"))
    assert (sent.to, sent.event, sent.options) == ("all", "announcement", ORDINARY)
    assert HEX_ID.fullmatch(sent.payload.pop("id"))
    assert sent.payload == {"title": "t", "content": "c", "priority": "high"}
    sent = recorder.last(system.broadcast_announcement("t", "c", "low", id="a1"))
    assert sent.payload["id"] == "a1"


# The process


@has_proc
def test_uptime_counts_from_the_start_of_the_process() -> None:
    slept = 0.3
    script = (
        f"import time; time.sleep({slept})\n"
        "from flask_sse_push.services.process import uptime_seconds\n"
        "print(uptime_seconds())"
    )
    before = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    elapsed = time.monotonic() - before
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert slept <= float(done.stdout) <= elapsed + 2 * tick


def test_uptime_does_not_run_backwards() -> None:
    readings = [uptime_seconds() for _ in range(100)]
    assert readings == sorted(readings)
    assert readings[0] >= 0


@has_proc
def test_memory_is_that_of_this_process() -> None:
    before = memory_usage()
    assert before.keys() == {"rss", "vms", "peakRss"}
    block = bytearray(b"x") * (64 << 20)
    after = memory_usage()
    assert after["rss"] - before["rss"] > 48 << 20
    assert after["vms"] >= after["rss"]
    assert after["peakRss"] >= len(block)
    assert json.loads(json.dumps(after)) == after


def test_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_proc(self: Path, *args: object, **kwargs: object) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", no_proc)
    assert memory_usage().keys() <= {"peakRss"}
    first = uptime_seconds()
    assert 0 <= first <= uptime_seconds()
