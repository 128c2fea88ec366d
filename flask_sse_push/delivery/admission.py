"""Decides whether this worker opens another stream now."""

from __future__ import annotations

import resource

from ..config import Config
from ..events import Channel
from ..log import Backend
from .hub import Hub

# File descriptors kept free for listeners, the event log, databases and requests.
_SPARE_DESCRIPTORS = 128
# The longest wait, in seconds, for a worker that has just started to read the event
# log.
_READY_SECONDS = 5.0


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
