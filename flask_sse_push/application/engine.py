"""The running parts of one application in one process, started when first needed."""

from __future__ import annotations

import contextlib
import logging
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

# Longest wait, in seconds, at the end of the process for events not yet in the log.
_FLUSH_SECONDS = 2.0


class Engine:
    """Backend, outbox and streams of this process.

    :param on_opened: told, by its user's id, about a stream that has opened.
    :param on_ended: told about a stream that has ended.
    :param on_failed: told about an event that the backend refuses for good.
    :param presence: told who comes online and goes offline, over all workers.
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
        """Put events into the log, through the outbox where that may take time.

        :raises OutboxFull: as many events wait as may.
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

    def health(self) -> dict[str, Any]:
        """How the extension fares; never raises."""
        backend = self.backend.health()
        hub = self.hub
        clients = hub.registry.count
        if backend["reachable"]:
            with contextlib.suppress(BackendError):
                clients = self.backend.client_count()
        is_full = len(self.outbox) >= self._config.outbox_size
        return {
            "connectedClients": clients,
            "isHealthy": bool(backend["reachable"]) and not is_full,
            "timestamp": timestamp(),
            "workerClients": hub.registry.count,
            "maxWorkerClients": self.streams.admission.max_connections,
            "position": format_id(hub.position),
            "historyEvents": len(hub.history),
            "historyBytes": hub.history.bytes,
            "outboxEvents": len(self.outbox),
            "backend": backend,
        }

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
