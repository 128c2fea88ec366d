"""Figures for Prometheus; needs the extra ``metrics``."""

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

# Name, what it is, and its key in the report of health().
_GAUGES = (
    ("connections", "Open streams, over all workers.", "connectedClients"),
    ("worker_connections", "Open streams of this process.", "workerClients"),
    ("outbox_events", "Events that wait for the backend.", "outboxEvents"),
    ("history_bytes", "Bytes of history this process keeps.", "historyBytes"),
    ("healthy", "Whether events get through, 1 or 0.", "isHealthy"),
)


class Metrics(Collector):
    """What the extension does, as metrics of one registry of ``prometheus_client``.

    The gauges are read from :meth:`~flask_sse_push.SSEPush.health` at each scrape; the
    counters count the signals of this process. Each metric has the label ``app``, the
    name of the application: those that share a registry need different names, and
    share one ``Metrics``.

    :param app: set up at once; else call :meth:`init_app`.
    :param registry: what it registers with.
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
                "This registry has the metrics already: call init_app() of the Metrics "
                "that it has, or give this one a CollectorRegistry of its own."
            ) from error
        self._published = Counter(
            "sse_push_events_published",
            "Events sent to a user, a group or all.",
            ("app", "kind"),
            registry=registry,
        )
        self._failed = Counter(
            "sse_push_events_failed",
            "Events that were not sent, by the error's class.",
            ("app", "error"),
            registry=registry,
        )
        self._ended = Counter(
            "sse_push_streams_ended",
            "Streams that ended, by the reason.",
            ("app", "reason"),
            registry=registry,
        )
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Add an application, after its ``SSEPush.init_app``.

        :raises ConfigError: the application has no SSEPush.
        """
        self._states[app.name] = state_of(app)
        event_published.connect(self._count_published, sender=app)
        event_failed.connect(self._count_failed, sender=app)
        client_disconnected.connect(self._count_ended, sender=app)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The gauges without values: registering asks no backend for any."""
        return [
            GaugeMetricFamily(f"sse_push_{name}", text, labels=("app",))
            for name, text, _ in _GAUGES
        ]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The gauges as they are now."""
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
