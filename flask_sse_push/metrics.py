"""Metrics for Prometheus; needs the extra ``metrics``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from .application.state import state_of
from .errors import ConfigError
from .events import Channel, channel_kind
from .signals import client_disconnected, event_failed, event_published

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector
except ModuleNotFoundError as missing:
    raise ConfigError(
        "flask_sse_push.metrics needs the metrics extra: "
        "pip install 'flask_sse_push[metrics]'"
    ) from missing

if TYPE_CHECKING:
    from flask import Flask

    from .application.state import State

# The metric's name, its description, and its key in the result of health().
_GAUGES = (
    ("connections", "Open connections, over all workers.", "connectedClients"),
    ("worker_connections", "Open connections of this process.", "workerClients"),
    ("outbox_events", "Events that wait in the outbox.", "outboxEvents"),
    ("history_bytes", "Bytes of history in this process.", "historyBytes"),
    ("healthy", "1 if events can be sent, else 0.", "isHealthy"),
)


class Metrics(Collector):
    """The extension's metrics, in one registry of ``prometheus_client``.

    The gauges are read from :meth:`~flask_sse_push.SSEPush.health` at each scrape; the
    counters count the signals of this process. Each metric has the label ``app``, the
    name of the application. Applications that share a registry share one ``Metrics``
    and need different names.

    :param app: an application to add at once; otherwise call :meth:`init_app`.
    :param registry: the registry that gets the metrics.
    :raises ConfigError: the registry has a ``Metrics`` already.
    """

    def __init__(
        self, app: Flask | None = None, registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._states: WeakValueDictionary[str, State] = WeakValueDictionary()
        try:
            registry.register(self)
        except ValueError as error:
            raise ConfigError(
                "This registry already has a Metrics: call init_app() of that Metrics, "
                "or pass this one a separate CollectorRegistry()."
            ) from error
        self._published = Counter(
            "sse_push_events_published",
            "Events that were sent, by the kind of channel.",
            ("app", "kind"),
            registry=registry,
        )
        self._failed = Counter(
            "sse_push_events_failed",
            "Events that were not sent, by the class of the error.",
            ("app", "error"),
            registry=registry,
        )
        self._ended = Counter(
            "sse_push_streams_ended",
            "Connections that ended, by reason.",
            ("app", "reason"),
            registry=registry,
        )
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Add an application. Call ``SSEPush.init_app`` for it first.

        :raises ConfigError: SSEPush is not set up for the application.
        """
        self._states[app.name] = state_of(app)
        event_published.connect(self._count_published, sender=app)
        event_failed.connect(self._count_failed, sender=app)
        client_disconnected.connect(self._count_ended, sender=app)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The gauges without values, so that registering does not ask the backend."""
        return [
            GaugeMetricFamily(f"sse_push_{name}", text, labels=("app",))
            for name, text, _ in _GAUGES
        ]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The gauges with their current values."""
        families = self.describe()
        for app, state in list(self._states.items()):
            health = state.engine.health()
            for family, (_, _, key) in zip(families, _GAUGES, strict=True):
                family.add_metric((app,), health[key])
        return families

    def _count_published(self, app: Flask, *, channel: Channel, **event: Any) -> None:
        self._published.labels(app.name, channel_kind(channel)).inc()

    def _count_failed(self, app: Flask, *, error: Exception, **event: Any) -> None:
        self._failed.labels(app.name, type(error).__name__).inc()

    def _count_ended(self, app: Flask, *, reason: str, **stream: Any) -> None:
        self._ended.labels(app.name, reason).inc()
