"""What ``SSE_PUSH_BACKEND_URL`` says about a server: where it is, and options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import RedisError
from redis.retry import Retry

from ...errors import ConfigError

Address = tuple[str, int]

#: Seconds to wait for a connection, and for an answer on it, unless the URL says else.
CONNECT_SECONDS = ANSWER_SECONDS = 1.0
# Connections that the commands of one process share.
_MAX_CONNECTIONS = 16
_PORT, _SENTINEL_PORT = 6379, 26379
# Options that are not a connection's: the pool's, and those set here.
_POOL_OPTIONS = ("max_connections", "timeout")
_NOT_TAKEN = ("host", "port", "decode_responses", "retry_on_error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a URL leads.

    :param addresses: servers, of which one at a time is asked, or sentinels; none for a
        Unix socket, whose path is an option.
    :param service: the name by which sentinels know the primary.
    :param connection_class: redis-py's class for TCP, TLS or a Unix socket.
    :param options: what the class takes, apart from the address.
    :param sentinel_options: the same for connections to sentinels.
    :param pool_options: what a pool takes beside.
    :param secrets: texts that are shown to nobody.
    """

    addresses: tuple[Address, ...]
    service: str | None
    connection_class: type[Any]
    options: dict[str, Any]
    sentinel_options: dict[str, Any]
    pool_options: dict[str, Any]
    secrets: tuple[str, ...]


def parse_target(url: str) -> Target:
    """Read a URL. Query options are redis-py's; ``sentinel_`` before a user name or
    password makes it the sentinels'.

    :raises ConfigError: the URL has no host, a wrong port or a wrong option.
    """
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.replace("valkey", "redis").partition("+")
    path = parts.path
    service = None
    if kind == "sentinel":
        name, _, database = path.strip("/").partition("/")
        if not name:
            raise ConfigError(
                "SSE_PUSH_BACKEND_URL names no service: write "
                "redis+sentinel://host:26379,host:26379/service/0."
            )
        service, path = unquote(name), f"/{database}"
    is_socket = scheme == "unix"
    if is_socket and path in ("", "/"):
        raise ConfigError(
            "SSE_PUSH_BACKEND_URL names no socket: write "
            "unix:///path/to/redis.sock?db=0."
        )
    addresses = () if is_socket else _read_addresses(parts, bool(kind))
    _check_database("" if is_socket else path, parts.query)
    options = _read_options(scheme, parts, path)
    pool_options = {
        name: options.pop(name) for name in _POOL_OPTIONS if name in options
    }
    login = {
        name: options.pop(f"sentinel_{name}")
        for name in ("username", "password")
        if f"sentinel_{name}" in options
    }
    connection_class = options.pop("connection_class", redis.Connection)
    _try_options(connection_class, options)
    personal = ("db", "username", "password", "client_name")
    general = {name: options[name] for name in options if name not in personal}
    secrets = (options.get("password"), login.get("password"))
    return Target(
        addresses=addresses,
        service=service,
        connection_class=connection_class,
        options=options,
        sentinel_options={**general, **login},
        pool_options={
            "max_connections": _MAX_CONNECTIONS,
            "timeout": options["socket_timeout"],
            **pool_options,
        },
        secrets=tuple(secret for secret in secrets if secret),
    )


def _check_database(path: str, query: str) -> None:
    for name in (*parse_qs(query).get("db", ()), unquote(path).strip("/")):
        if name and not name.isdecimal():
            # It is not shown: it may be the rest of a password with a slash.
            raise ConfigError(
                "SSE_PUSH_BACKEND_URL names a database that is not a number: write "
                "redis://host:6379/0, or ?db=0 at the end of a unix:// URL."
            )


def _read_addresses(parts: SplitResult, are_sentinels: bool) -> tuple[Address, ...]:
    default = _SENTINEL_PORT if are_sentinels else _PORT
    addresses = []
    for text in parts.netloc.rpartition("@")[2].split(","):
        try:
            one = urlsplit(f"//{text}")
            addresses.append((one.hostname or "localhost", one.port or default))
        except ValueError as error:
            raise ConfigError(
                "SSE_PUSH_BACKEND_URL has a host that cannot be read: write host:port, "
                "and in a user or password %2F for /, %3F for ?, %23 for #, %40 for @."
            ) from error
    return tuple(addresses)


def _read_options(scheme: str, parts: SplitResult, path: str) -> dict[str, Any]:
    """The URL's options, as redis-py reads them."""
    login, at, _ = parts.netloc.rpartition("@")
    # Hosts are read here: redis-py knows URLs with one host only.
    host = "" if scheme == "unix" else "localhost"
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
    }
    if scheme != "unix":
        options["socket_keepalive"] = True
    try:
        read = parse_url(f"{scheme}://{login}{at}{host}{path}?{parts.query}")  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise _wrong_option(error) from error
    options.update(read)
    for name in _NOT_TAKEN:
        options.pop(name, None)
    # redis-py's default, ten retries, wrote one event twice in 7 of 8 runs when the
    # answer was lost. Whoever has given an event its nonce tries again.
    options.update(retry=Retry(NoBackoff(), 0), retry_on_timeout=False)
    return options


def _try_options(connection_class: type[Any], options: dict[str, Any]) -> None:
    try:
        connection_class(**options)
    except (ValueError, TypeError, RedisError) as error:
        raise _wrong_option(error) from error


def _wrong_option(error: Exception) -> ConfigError:
    return ConfigError(
        f"SSE_PUSH_BACKEND_URL has an option that redis-py does not take: {error}"
    )
