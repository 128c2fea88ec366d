"""The running parts of one application in one process, started when first needed."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..config import Config
from ..delivery.hub import Ended
from ..delivery.streams import Streams
from ..errors import BackendError
from ..events import Event, format_id, timestamp
from ..log import make_backend
from ..runtime.shutdown import stop_at_exit
from ..sending.outbox import Outbox
from ..sending.receipt import Receipt
from ..sending.sender import Outgoing
from .presence import PresenceTeller

_log = logging.getLogger("flask_sse_push")

# The longest wait at process exit, in seconds, for events in the outbox.
_FLUSH_SECONDS = 2.0
# The longest wait of a health request, in seconds, for a process that has just started
# to read the event log. Kubernetes's default timeout for a probe is one second.
_WAIT_SECONDS = 0.5
# Seconds after its start during which an engine can be "starting". A connection attempt
# fails sooner.
_STARTING_SECONDS = 10.0


class Engine:
    """The backend, outbox and streams of this process.

    :param on_opened: called with the user id when a stream has opened.
    :param on_ended: called when a stream has ended.
    :param on_failed: called with an event that the event log cannot accept, and the
        error.
    :param presence: gets the users who come online and go offline, over all workers.
    """

    def __init__(
        self,
        config: Config,
        on_opened: Callable[[str | None], None],
        on_ended: Callable[[Ended], None],
        on_failed: Callable[[Event, Exception], None],
        presence: PresenceTeller,
    ) -> None:
        self._config = config
        self._started = time.monotonic()
        self.backend = make_backend(config)
        self._on_opened = on_opened
        self._on_ended = on_ended
        self.streams = Streams(config, self.backend, self._opened, self._ended)
        self.hub = self.streams.hub
        self.outbox = Outbox(self.backend.append, config.outbox_size, on_failed)
        self.backend.start(self.hub, self.hub.registry, presence.put)
        stop_at_exit(self)

    def _opened(self, user_id: str | None) -> None:
        if user_id is not None:
            self.backend.user_changed(user_id)
        self._on_opened(user_id)

    def _ended(self, stream: Ended) -> None:
        if stream.user_id is not None:
            self.backend.user_changed(stream.user_id)
        self._on_ended(stream)

    def append(self, outgoing: Sequence[Outgoing]) -> Iterator[Receipt]:
        """Append events to the event log; if it is remote, through the outbox.

        :returns: a receipt for each event, in order.
        :raises OutboxFull: the outbox is full.
        """
        for one in outgoing:
            event = one.event
            is_here = self.hub.registry.has_any(event.target)
            if self.backend.remote:
                yield self.outbox.put(
                    event,
                    one.options.priority,
                    is_here or None,
                    keeps_place=one.keeps_place,
                )
            else:
                yield Receipt(is_here, self.backend.append([event])[0])

    def liveness(self, wait: float = _WAIT_SECONDS) -> dict[str, Any]:
        """Whether events can be sent; never raises.

        :param wait: the longest wait, in seconds, for a process that has just started.
        :returns: ``status``, ``isHealthy`` and ``timestamp``.
        """
        return self._liveness(self._backend_health(wait))

    def health(self, wait: float = _WAIT_SECONDS) -> dict[str, Any]:
        """The state of the extension; never raises.

        :param wait: as for :meth:`liveness`.
        """
        backend = self._backend_health(wait)
        hub = self.hub
        clients = hub.registry.count
        if backend["reachable"]:
            with contextlib.suppress(BackendError):
                clients = self.backend.client_count()
        return {
            **self._liveness(backend),
            "connectedClients": clients,
            "workerClients": hub.registry.count,
            "carriers": dict(hub.registry.carriers),
            "maxWorkerClients": self.streams.admission.max_connections,
            "position": format_id(hub.position),
            "historyEvents": len(hub.history),
            "historyBytes": hub.history.bytes,
            "outboxEvents": len(self.outbox),
            "backend": backend,
        }

    def _backend_health(self, wait: float) -> dict[str, Any]:
        end = time.monotonic() + wait
        while self._is_starting and time.monotonic() < end:
            # In short steps, because a failed connection attempt also ends the wait.
            self.backend.wait_ready(0.02)
        return self.backend.health()

    def _liveness(self, backend: dict[str, Any]) -> dict[str, Any]:
        if len(self.outbox) >= self._config.outbox_size:
            status = "unhealthy"
        elif self._is_starting:
            status = "starting"
        else:
            status = "healthy" if backend["reachable"] else "unhealthy"
        return {
            "status": status,
            "isHealthy": status != "unhealthy",
            "timestamp": timestamp(),
        }

    @property
    def _is_starting(self) -> bool:
        age = time.monotonic() - self._started
        return age < _STARTING_SECONDS and self.backend.is_starting()

    def stop(self) -> None:
        """Close every stream, wait briefly for the outbox, and stop the backend."""
        self.streams.stop()
        if not self.outbox.flush(_FLUSH_SECONDS):
            _log.error(
                "%d events in the outbox are lost: the event log "
                "(SSE_PUSH_BACKEND_URL) did not accept them before this process exited",
                len(self.outbox),
            )
        self.backend.stop()
