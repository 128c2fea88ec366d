"""The event log and its backends, one module or package for each backend."""

from __future__ import annotations

from ..config import Config
from ..errors import ConfigError
from .backend import Backend, Connected, RateWindows, Receiver, Unread
from .history import History
from .memory import MemoryBackend

__all__ = [
    "Backend",
    "Connected",
    "History",
    "MemoryBackend",
    "RateWindows",
    "Receiver",
    "Unread",
    "make_backend",
]


def make_backend(config: Config) -> Backend:
    """Make the backend of ``SSE_PUSH_BACKEND_URL``, without starting it.

    :raises ConfigError: the URL is wrong, or the package that the backend needs is not
        installed.
    """
    if config.is_memory:
        return MemoryBackend(config)
    try:
        from .redis import RedisBackend  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise ConfigError(
            "SSE_PUSH_BACKEND_URL names a Redis or Valkey server, which needs the "
            "redis extra: pip install 'flask_sse_push[redis]'"
        ) from error
    return RedisBackend(config)
