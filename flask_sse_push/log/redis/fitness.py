"""Check whether a Redis or Valkey server can keep the event log."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from ...errors import BackendError
from ...findings import Finding, error, ok, warning
from .keys import Keys
from .server import Server

# XTRIM with MINID came with 6.2, https://redis.io/docs/latest/commands/xtrim/.
_LEAST_VERSION = (6, 2)
_SUBJECT = "backend"


def check_server(server: Server, keys: Keys, url: str) -> Iterator[Finding]:
    """Check that a server answers, accepts writes and does not evict the event log.

    :param url: the URL of ``SSE_PUSH_BACKEND_URL``. The findings do not show its user,
        password and options.
    """
    address = _address(url)
    try:
        # Replicas, and servers that are out of memory, answer reads but refuse writes.
        server.call(("SET", f"{keys.log}:check", "1", "PX", "1000"))
    except BackendError as failure:
        yield error(
            _SUBJECT,
            f"{address} cannot be reached, or does not accept writes: {failure}",
            "Start the server, or correct SSE_PUSH_BACKEND_URL. It must name a primary "
            "server and a user who may write.",
        )
        return
    try:
        [text] = server.call(("INFO",))
    except BackendError as failure:
        yield warning(
            _SUBJECT,
            f"{address} answers, but does not show its version and eviction policy: "
            f"{failure}",
            "Let the user of SSE_PUSH_BACKEND_URL run INFO.",
        )
        return
    info = _fields(text)
    name = info.get("server_name", "redis").capitalize()
    version = info.get("valkey_version") or info.get("redis_version", "")
    yield ok(_SUBJECT, f"{name} {version} at {address} answers and accepts writes.")
    yield from _check_version(info.get("redis_version", ""))
    yield from _check_eviction(info)


def _check_version(version: str) -> Iterator[Finding]:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < _LEAST_VERSION:
        yield error(
            _SUBJECT,
            f"The server has the commands of Redis {version or '(unknown version)'}, "
            "which is too old.",
            "Use Redis 6.2 or newer, or Valkey.",
        )


def _check_eviction(info: dict[str, str]) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy", "noeviction")
    limit = info.get("maxmemory", "0")
    when = (
        f"above maxmemory, {limit} bytes" if limit != "0" else "once maxmemory is set"
    )
    if policy.startswith("allkeys-"):
        yield error(
            _SUBJECT,
            f"maxmemory-policy is {policy}: the server may drop the whole event log "
            f"({when}), and clients lose events.",
            "Set maxmemory-policy to noeviction, or use a separate server.",
        )
    elif policy.startswith("volatile-"):
        yield warning(
            _SUBJECT,
            f"maxmemory-policy is {policy}: the server may drop mailboxes, retained "
            f"events and the list of connected users ({when}), because their keys have "
            "an expiry time.",
            "Set maxmemory-policy to noeviction, or use a separate server.",
        )


def _fields(text: bytes | str) -> dict[str, str]:
    """The fields of the answer to ``INFO``, which has a ``name:value`` on each line."""
    lines = text.decode() if isinstance(text, bytes) else text
    return {
        name: value
        for name, _, value in (li.partition(":") for li in lines.splitlines())
    }


def _address(url: str) -> str:
    """The URL without its user, password and options, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
