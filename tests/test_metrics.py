from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from flask_sse_push import ConfigError, PayloadError, SSEPush
from flask_sse_push.application.state import state_of
from flask_sse_push.metrics import Metrics
from flask_sse_push.testing import StreamReader
from tests.support.clients import eventually

GAUGES = {
    "sse_push_connections",
    "sse_push_worker_connections",
    "sse_push_outbox_events",
    "sse_push_history_bytes",
    "sse_push_healthy",
}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def scrape(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """The samples that Prometheus reads: values by name and label values."""
    text = generate_latest(registry).decode()
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, *sample.labels.values())
            assert key not in found, f"{key} occurs twice"
            found[key] = sample.value
    return found


def test_the_gauges_are_those_of_health(
    app: Flask, sse: SSEPush, registry: CollectorRegistry
) -> None:
    Metrics(app, registry)
    assert scrape(registry)["sse_push_connections", "tests"] == 0
    with StreamReader(app.test_client()), StreamReader(app.test_client()):
        sse.broadcast("notification", {"message": "m"})
        found = scrape(registry)
        health = sse.health()
    assert {name for name, *_ in found} >= GAUGES
    assert found["sse_push_connections", "tests"] == health["connectedClients"] == 2
    assert found["sse_push_worker_connections", "tests"] == 2
    assert found["sse_push_history_bytes", "tests"] == health["historyBytes"] > 0
    assert found["sse_push_outbox_events", "tests"] == 0
    assert found["sse_push_healthy", "tests"] == 1


def test_an_application_that_is_not_healthy_says_so(
    app: Flask, registry: CollectorRegistry
) -> None:
    app.config["SSE_PUSH_OUTBOX_SIZE"] = 1
    SSEPush(app)
    Metrics(app, registry)
    # One event is being sent, and only one may wait.
    state_of(app).engine.outbox._leaving = 1
    found = scrape(registry)
    assert found["sse_push_healthy", "tests"] == 0
    assert found["sse_push_outbox_events", "tests"] == 1


def test_events_are_counted_by_kind(
    app: Flask, sse: SSEPush, registry: CollectorRegistry
) -> None:
    Metrics(app, registry)
    note = {"message": "m"}
    sse.send_to_users(["ada", "group:eve"], "notification", note)
    sse.send_to_group("admins", "notification", note)
    for _ in range(3):
        sse.broadcast("notification", note)
    found = scrape(registry)
    assert [
        found["sse_push_events_published_total", "tests", kind]
        for kind in ("user", "group", "all")
    ] == [2, 1, 3]


def test_failures_are_counted_by_error(
    app: Flask, sse: SSEPush, registry: CollectorRegistry
) -> None:
    Metrics(app, registry)
    for _ in range(2):
        with pytest.raises(PayloadError):
            sse.broadcast("notification", {})
    found = scrape(registry)
    assert found["sse_push_events_failed_total", "tests", "PayloadError"] == 2
    assert not [key for key in found if key[0] == "sse_push_events_published_total"]


def test_ended_streams_are_counted_by_reason(
    app: Flask, sse: SSEPush, registry: CollectorRegistry
) -> None:
    Metrics(app, registry)
    key = ("sse_push_streams_ended_total", "tests", "removed")
    sse.user_loader(lambda: "ada")
    with StreamReader(app.test_client()) as stream:
        sse.remove_client("ada")
        assert stream.next().data == {"reason": "removed"}
    eventually(lambda: key in scrape(registry))
    assert scrape(registry)[key] == 1


def test_applications_share_a_registry_and_are_apart(
    registry: CollectorRegistry,
) -> None:
    one, other = Flask("one"), Flask("other")
    metrics = Metrics(registry=registry)
    extensions = [SSEPush(app) for app in (one, other)]
    for app in (one, other):
        metrics.init_app(app)
    with one.app_context(), StreamReader(one.test_client()):
        extensions[0].broadcast("notification", {"message": "m"})
        found = scrape(registry)
    assert found["sse_push_connections", "one"] == 1
    assert found["sse_push_connections", "other"] == 0
    assert found["sse_push_events_published_total", "one", "all"] == 1
    assert ("sse_push_events_published_total", "other", "all") not in found


def test_a_registry_has_them_once(
    app: Flask, sse: SSEPush, registry: CollectorRegistry
) -> None:
    Metrics(app, registry)
    with pytest.raises(ConfigError, match="init_app"):
        Metrics(Flask("other"), registry)
    sse.broadcast("notification", {"message": "m"})
    assert scrape(registry)["sse_push_events_published_total", "tests", "all"] == 1


def test_it_needs_an_extension(registry: CollectorRegistry) -> None:
    with pytest.raises(ConfigError, match=r"sse\.init_app"):
        Metrics(Flask("bare"), registry)


def test_setting_up_starts_nothing(
    app: Flask, sse: SSEPush, registry: CollectorRegistry
) -> None:
    Metrics(app, registry)
    assert state_of(app)._engine is None


def test_an_application_is_not_kept_alive(registry: CollectorRegistry) -> None:
    app = Flask("short-lived")
    SSEPush(app)
    metrics = Metrics(app, registry)
    assert ("sse_push_healthy", "short-lived") in scrape(registry)
    del app
    gc.collect()
    assert list(metrics._states) == []
    assert scrape(registry) == {}


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "flask_sse_push.metrics")
    with pytest.raises(ConfigError, match=r"flask_sse_push\[metrics\]"):
        importlib.import_module("flask_sse_push.metrics")


WORKER = """
from flask import Flask
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from flask_sse_push import SSEPush
from flask_sse_push.metrics import Metrics

app = Flask("app")
sse = SSEPush(app)
metrics = Metrics(app)
sse.broadcast("notification", {"message": "m"})
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
registry.register(metrics)
print(generate_latest(registry).decode())
"""


def test_counters_add_up_over_processes(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for number in (1, 2):
        text = subprocess.run(
            [sys.executable, "-c", WORKER],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        families = {f.name: f for f in text_string_to_metric_families(text)}
        assert families.keys() >= GAUGES | {"sse_push_events_published"}
        [sample] = families["sse_push_events_published"].samples
        assert sample.value == number
        assert sample.labels == {"app": "app", "kind": "all"}
        [healthy] = families["sse_push_healthy"].samples
        assert healthy.value == 1
