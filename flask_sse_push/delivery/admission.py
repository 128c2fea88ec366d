"""Checks before a stream is opened: of the server, and of this worker's limits."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from typing import Any

from ..config import Config
from ..errors import ConfigError
from ..events import Channel
from ..log import Backend
from ..runtime.concurrency import is_cooperative
from .hub import Hub

# File descriptors kept free for listeners, the event log, databases and requests.
_SPARE_DESCRIPTORS = 128
# The longest wait, in seconds, until a worker that has just started has read the
# event log.
_READY_SECONDS = 5.0


def require_fit_server(environ: Mapping[str, Any]) -> None:
    """Check that the server was started in a way that can serve streams.

    :param environ: the request's WSGI environment.
    :raises ConfigError: it cannot serve streams; the message says how to start it.
    """
    server = type(environ.get("wsgi.input")).__module__
    if server.startswith("gevent.") and not is_cooperative():
        raise ConfigError(
            "This server runs on gevent, but the process is not patched, so one stream "
            "would block all others. Start your program with 'from gevent import "
            "monkey; monkey.patch_all()', before every other import."
        )
    if "gunicorn.socket" in environ and not environ.get("wsgi.multithread"):
        raise ConfigError(
            "A sync worker of gunicorn serves one request at a time, so one stream "
            "would block it for good. Start gunicorn with '-k gevent', or with "
            "'-k gthread --threads N'."
        )


class Admission:
    """Decides whether this worker can open another stream now."""

    def __init__(self, config: Config, hub: Hub, backend: Backend) -> None:
        self._hub = hub
        self._backend = backend
        self._max_per_user = config.max_connections_per_user
        #: The most connections this worker accepts.
        self.max_connections = config.max_connections or _descriptors_left()

    def refusal(self, user_channel: Channel | None) -> str | None:
        """Why a stream cannot be opened now, or ``None`` if it can.

        :param user_channel: the user's channel; ``None`` for an anonymous client.
        """
        hub = self._hub
        if hub.is_shut_down:
            return "this worker is shutting down"
        if hub.registry.count >= self.max_connections:
            return "this worker has reached its limit of connections"
        most = self._max_per_user
        own = hub.registry.of_user(user_channel) if user_channel is not None else ()
        if most and len(own) >= most:
            return "this user has reached the limit of connections"
        if not self._backend.wait_ready(_READY_SECONDS):
            return "the event log cannot be read"
        return None


def _descriptors_left() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 1 << 20
    return max(soft - _SPARE_DESCRIPTORS, 16)
