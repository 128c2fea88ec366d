"""Reads the server's address and the options from ``SSE_PUSH_BACKEND_URL``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.backoff import NoBackoff
from redis.connection import BlockingConnectionPool, parse_url
from redis.exceptions import RedisError
from redis.retry import Retry

from ...errors import ConfigError

Address = tuple[str, int]

#: Seconds to wait for a connection and for an answer, unless the URL sets them.
CONNECT_SECONDS = ANSWER_SECONDS = 1.0
# The most connections that the commands of one process share.
_MAX_CONNECTIONS = 16
_PORT, _SENTINEL_PORT = 6379, 26379
# Options that do not apply to connections to sentinels, and options that are ignored.
_NOT_SENTINELS = ("db", "username", "password", "client_name", "timeout")
_NOT_TAKEN = ("host", "port", "decode_responses", "retry_on_error", "retry_on_timeout")


@dataclass(frozen=True, slots=True)
class Target:
    """The contents of a URL."""

    #: The servers, of which one at a time is used, or the sentinels. Empty for a Unix
    #: socket.
    addresses: tuple[Address, ...]
    #: The name of the service that the sentinels monitor; ``None`` without sentinels.
    service: str | None
    #: Options for redis-py's pool and its connections, without the address.
    options: dict[str, Any]
    #: Options for connections to sentinels.
    sentinel_options: dict[str, Any]

    def redact(self, text: str) -> str:
        """Replace the passwords of the URL in a text with ``***``."""
        for options in (self.options, self.sentinel_options):
            if password := options.get("password"):
                text = text.replace(password, "***")
        return text


def parse_target(url: str) -> Target:
    """Read a URL.

    The options in its query are those of redis-py, and ``sentinel_username`` and
    ``sentinel_password`` for the sentinels.

    :raises ConfigError: the URL has no host, a wrong port or a wrong option.
    """
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.replace("valkey", "redis").partition("+")
    login, at, hosts = parts.netloc.rpartition("@")
    path, service = parts.path, None
    addresses: tuple[Address, ...] = ()
    if kind:
        name, _, database = path.strip("/").partition("/")
        if not name:
            raise ConfigError(
                "SSE_PUSH_BACKEND_URL has no service name: write "
                "redis+sentinel://host:26379,host:26379/service/0."
            )
        service, path = unquote(name), f"/{database}"
    if scheme != "unix":
        addresses = _read_addresses(hosts, _SENTINEL_PORT if kind else _PORT)
        _check_database(path.strip("/"))
        hosts = "localhost"  # redis-py reads URLs with one host only
    elif not path.strip("/"):
        raise ConfigError(
            "SSE_PUSH_BACKEND_URL has no path of a socket: write "
            "unix:///path/to/redis.sock?db=0."
        )
    for database in parse_qs(parts.query).get("db", ()):
        _check_database(database)
    try:
        options = _read_options(f"{scheme}://{login}{at}{hosts}{path}?{parts.query}")
        sentinel_login = {
            name: options.pop(f"sentinel_{name}")
            for name in ("username", "password")
            if f"sentinel_{name}" in options
        }
        pool: Any = BlockingConnectionPool(**options)  # type: ignore[no-untyped-call]
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, RedisError) as error:
        raise ConfigError(
            "SSE_PUSH_BACKEND_URL has an option that redis-py does not accept; correct "
            f"or remove it: {error}"
        ) from error
    general = {name: options[name] for name in options if name not in _NOT_SENTINELS}
    return Target(addresses, service, options, {**general, **sentinel_login})


def _check_database(name: str) -> None:
    if name and not name.isdecimal():
        # The message does not show it: it may be the end of a password with a slash.
        raise ConfigError(
            "SSE_PUSH_BACKEND_URL has a database that is not a number: write "
            "redis://host:6379/0, or ?db=0 at the end of a unix:// URL."
        )


def _read_addresses(hosts: str, default_port: int) -> tuple[Address, ...]:
    try:
        ones = [urlsplit(f"//{host}") for host in hosts.split(",")]
        return tuple((o.hostname or "localhost", o.port or default_port) for o in ones)
    except ValueError as error:
        raise ConfigError(
            "SSE_PUSH_BACKEND_URL has a host or port that is not valid: write "
            "host:port, and in a user or password %2F for /, %3F for ?, %23 for # and "
            "%40 for @."
        ) from error


def _read_options(url: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "max_connections": _MAX_CONNECTIONS,
        # RESP2 is enough. With RESP3, redis-py asks the server for maintenance notices,
        # which costs one more round trip for each connection.
        "protocol": 2,
        **({} if url.startswith("unix:") else {"socket_keepalive": True}),
        **parse_url(url),  # type: ignore[no-untyped-call]
    }
    for name in _NOT_TAKEN:
        options.pop(name, None)
    options.setdefault("timeout", options["socket_timeout"])
    # With redis-py's default, ten retries, an event was written twice in 7 of 8 runs in
    # which the answer was lost. The outbox and Publisher retry with a nonce instead.
    options["retry"] = Retry(NoBackoff(), 0)
    return options
