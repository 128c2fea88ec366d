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

_log = logging.getLogger("flask_sse_push")

# Longest wait, in seconds, at the end of the process for events not yet in the log.
_FLUSH_SECONDS = 2.0
# Longest wait, in seconds, of a question about health for the first look at the event
# log: below the second after which Kubernetes gives up on a probe.
_WAIT_SECONDS = 0.5
# Seconds after its start in which an engine may be starting. A connection that fails
# has failed before that.
_STARTING_SECONDS = 10.0


class Engine:
    """Backend, outbox and streams of this process.

    :param on_opened: told, by its user's id, about a stream that has opened.
    :param on_ended: told about a stream that has ended.
    :param on_failed: told about an event that the backend refuses for good.
    """

    def __init__(
        self,
        config: Config,
        on_opened: Callable[[str | None], None],
        on_ended: Callable[[Ended], None],
        on_failed: Callable[[Event, Exception], None],
    ) -> None:
        self._config = config
        self._started = time.monotonic()
        self.backend = make_backend(config)
        self.streams = Streams(config, self.backend, on_opened, on_ended)
        self.hub = self.streams.hub
        self.outbox = Outbox(self.backend.append, config.outbox_size, on_failed)
        self.backend.start(self.hub, self.hub.registry)
        stop_at_exit(self)

    def append(self, outgoing: Sequence[Outgoing]) -> Iterator[Receipt]:
        """Put events into the log, through the outbox where that may take time.

        :raises OutboxFull: as many events wait as may.
        """
        for one in outgoing:
            event = one.event
            is_here = self.hub.registry.has_any(event.target)
            if self.backend.remote:
                yield self.outbox.put(event, one.options.priority, is_here or None)
            else:
                yield Receipt(is_here, self.backend.append([event])[0])

    def liveness(self, wait: float = _WAIT_SECONDS) -> dict[str, Any]:
        """Whether events get through; never raises.

        :param wait: seconds to wait, at most, for a process that has just started.
        """
        return self._liveness(self._backend_health(wait))

    def health(self, wait: float = _WAIT_SECONDS) -> dict[str, Any]:
        """How the extension fares; never raises.

        :param wait: as :meth:`liveness`.
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
            # In short steps: an attempt that fails ends the wait as well.
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
        """End every stream, wait for the outbox a moment, let go of the backend."""
        self.hub.shut_down()
        if not self.outbox.flush(_FLUSH_SECONDS):
            _log.error(
                "%d events are lost: the backend did not take them before this process "
                "ended",
                len(self.outbox),
            )
        self.backend.stop()
