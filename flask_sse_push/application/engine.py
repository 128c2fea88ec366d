"""The running parts of one application in one process, started when first needed."""

from __future__ import annotations

import contextlib
import logging
import resource
from collections.abc import Callable, Sequence
from typing import Any

from ..config import Config
from ..delivery.connections import Limits
from ..delivery.hub import Ended, Hub
from ..errors import BackendError
from ..events import Event, format_id, timestamp
from ..log import make_backend
from ..names import Priority
from ..runtime.shutdown import stop_at_exit
from ..sending.outbox import Outbox, Receipt
from ..sending.prepare import make_removal

_log = logging.getLogger("flask_sse_push")
_streams_log = logging.getLogger("flask_sse_push.streams")

# Descriptors left to listeners, the log, databases and requests being answered.
_SPARE_DESCRIPTORS = 128
# Longest wait, in seconds, at the end of the process for events not yet in the log.
_FLUSH_SECONDS = 2.0


class Worker:
    """Hub, backend and outbox of this process.

    :param on_opened: told, by its user's id, of a stream that has opened.
    :param on_ended: told of a stream that has ended.
    :param on_failed: told of an event that the backend refuses for good.
    """

    def __init__(
        self,
        config: Config,
        on_opened: Callable[[str | None], None],
        on_ended: Callable[[Ended], None],
        on_failed: Callable[[Event, Exception], None],
    ) -> None:
        self.config = config
        self._on_opened = on_opened
        self._on_ended = on_ended
        self.hub = Hub(config, self._streams_ended)
        self.backend = make_backend(config)
        self.outbox = Outbox(self.backend, config.outbox_size, on_failed)
        self.limits = Limits(
            pending_bytes=config.max_pending_bytes,
            vanished_ms=min(int(2_000 * config.heartbeat_seconds), 2**31 - 1),
        )
        self.max_connections = config.max_connections or _descriptors_left()
        self.backend.start(self.hub)
        stop_at_exit(self)

    def publish(self, event: Event, priority: Priority) -> Receipt:
        """Put an event into the log, through the outbox where that may take time.

        :raises OutboxFull: as many events wait as may.
        """
        is_here = self.hub.has_receivers(event.channel)
        if self.backend.remote:
            return self.outbox.put(event, priority, is_here or None)
        return Receipt(is_here, self.backend.append([event])[0])

    def stream_opened(self, user_id: str | None) -> None:
        """Tell of a stream that has opened."""
        self._on_opened(user_id)

    def remove_client(self, user_id: str) -> None:
        """Close a user's connections on every worker."""
        self.publish(make_removal(user_id), Priority.URGENT)

    def health(self) -> dict[str, Any]:
        """How the extension fares; never raises."""
        backend = self.backend.health()
        clients = self.hub.client_count()
        if backend["reachable"]:
            with contextlib.suppress(BackendError):
                clients = self.backend.client_count()
        is_full = len(self.outbox) >= self.config.outbox_size
        return {
            "connectedClients": clients,
            "isHealthy": bool(backend["reachable"]) and not is_full,
            "timestamp": timestamp(),
            "workerClients": self.hub.client_count(),
            "maxWorkerClients": self.max_connections,
            "position": format_id(self.hub.position),
            "historyEvents": len(self.hub.history),
            "historyBytes": self.hub.history.bytes,
            "outboxEvents": len(self.outbox),
            "backend": backend,
        }

    def stop(self) -> None:
        """End every stream, wait for the outbox a moment, let go of the backend."""
        self.hub.shut_down()
        if not self.outbox.flush(_FLUSH_SECONDS):
            _log.error(
                "%d events are lost: the backend did not take them before the end",
                len(self.outbox),
            )
        self.backend.stop()

    def _streams_ended(self, ended: Sequence[Ended]) -> None:
        for stream in ended:
            _streams_log.info(
                "stream ended: user=%s reason=%s seconds=%.1f events=%d bytes=%d",
                stream.user_id,
                stream.reason,
                stream.duration,
                stream.events,
                stream.bytes,
            )
            if stream.on_close is not None:
                try:
                    stream.on_close()
                except Exception:
                    _log.exception("A function called at the end of a stream failed")
            self._on_ended(stream)


def _descriptors_left() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 1 << 20
    return max(soft - _SPARE_DESCRIPTORS, 16)
