"""The server a URL names: where it is now, connections to it, commands on them.

Redis and Valkey, alone, with TLS, behind Sentinel or as a cluster. All keys share one
hash tag, so a cluster keeps them on one node, and following its redirections is all it
takes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import (
    AuthenticationError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from ...errors import BackendError, ConfigError
from ...runtime.concurrency import is_cooperative

Command = Sequence[str | bytes | int | float]
Address = tuple[str, int]

#: Seconds to wait for a connection, and for an answer on it, unless the URL says else.
CONNECT_SECONDS = ANSWER_SECONDS = 1.0
# Connections that commands of one process share. One that finds all of them busy waits
# for as long as for an answer.
_MOST_CONNECTIONS = 16
# Redirections followed for one command.
_MOST_MOVES = 3
_PORT, _SENTINEL_PORT = 6379, 26379
# Answers that no further try will change.
_CREDENTIALS = (AuthenticationError, NoPermissionError)


class Connection(Protocol):
    """What is used of redis-py's ``Connection``, which has no types."""

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def can_read(self, timeout: float) -> bool: ...
    def send_command(self, *words: str | bytes | int | float) -> None: ...
    def send_packed_command(self, command: Any) -> None: ...
    def pack_commands(self, commands: Sequence[Command]) -> Any: ...
    def read_response(self) -> Any: ...


class Script:
    """A Lua script; the server keeps it and is sent its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The digest is the name Redis gives the script; nothing is secured by it.
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


class Server:
    """Commands to the server; safe for threads, greenlets and forks.

    :param url: as in ``SSE_PUSH_BACKEND_URL``; query options as redis-py takes them.
    :raises ConfigError: the URL has no host, a wrong port or a wrong option.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        scheme, _, kind = parts.scheme.partition("+")
        self._service: str | None = None
        path = parts.path
        if kind == "sentinel":
            service, _, database = path.strip("/").partition("/")
            if not service:
                raise ConfigError(
                    "SSE_PUSH_BACKEND_URL names no service: write "
                    "redis+sentinel://host:26379,host:26379/service/0."
                )
            self._service, path = unquote(service), f"/{database}"
        self._seeds = _addresses(parts, _SENTINEL_PORT if kind else _PORT)
        self._options = _options(scheme, parts, path)
        self._sentinel_login = {
            option: self._options.pop(f"sentinel_{option}")
            for option in ("username", "password")
            if f"sentinel_{option}" in self._options
        }
        self._class: Callable[..., Connection] = self._options.pop(
            "connection_class", redis.Connection
        )
        self._secrets = [
            value
            for value in (
                self._options.get("password"),
                self._sentinel_login.get("password"),
            )
            if value
        ]
        most = int(self._options.pop("max_connections", _MOST_CONNECTIONS))
        self._turns = threading.BoundedSemaphore(most)
        self._address: Address | None = None
        self._seed = 0
        self._idle: dict[tuple[int, int], list[Connection]] = {}

    def call(self, *commands: Command) -> list[Any]:
        """Run commands in one round trip.

        :returns: the answers as the protocol gives them, texts as bytes.
        :raises BackendError: no connection, no answer in time, or an error for answer.
        """
        try:
            return self._call(commands)
        except (RedisError, OSError) as error:
            raise self.translate(error) from self._cause(error)

    def run(self, script: Script, keys: Sequence[str], arguments: Command) -> Any:
        """Run a script.

        :raises BackendError: as :meth:`call`.
        """
        rest = (len(keys), *keys, *arguments)
        try:
            try:
                [answer] = self._call([("EVALSHA", script.digest, *rest)])
            except NoScriptError:
                [answer] = self._call([("EVAL", script.text, *rest)])
        except (RedisError, OSError) as error:
            raise self.translate(error) from self._cause(error)
        return answer

    def open(self, silence: float = 0.0) -> Connection:
        """A connection of one's own.

        :param silence: seconds the server may take longer for its answers.
        :raises RedisError: no connection.
        """
        address = self._address or self._locate()
        options = dict(self._options)
        options["socket_timeout"] += silence
        try:
            return self._open(address, options)
        except (RedisError, OSError) as error:
            self.follow(error)
            raise

    def follow(self, failure: Exception) -> None:
        """Go where a failure says the data is: a cluster's other node, a new primary.

        Where it says nothing, the next connection starts at the URL's next host.
        """
        if moved := redirection(failure):
            host = moved.host or self._seeds[self._seed % len(self._seeds)][0]
            self._address = (host, int(moved.port))
        else:
            self._address = None
            self._seed += 1
        if moved or isinstance(failure, ReadOnlyError):
            self.close()

    def translate(self, error: Exception) -> BackendError:
        """The error to raise for one of redis-py's."""
        if isinstance(error, BackendError):
            return error
        text = self._redact(str(error))
        if isinstance(error, _CREDENTIALS):
            text = (
                "Redis refuses the user or the password: put them right in the URL, "
                f"as in redis://user:password@host ({text})"
            )
            return BackendError(text)
        return BackendError(f"Redis: {text}")

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        idle, self._idle = self._idle, {}
        for (pid, _), connections in idle.items():
            for connection in connections:
                if pid == os.getpid():
                    connection.disconnect()

    def _cause(self, error: Exception) -> Exception | None:
        return None if self._redact(str(error)) != str(error) else error

    def _redact(self, text: str) -> str:
        # Servers quote a command they do not understand, HELLO with its password too.
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _call(self, commands: Sequence[Command]) -> list[Any]:
        if not self._turns.acquire(timeout=self._options["socket_timeout"]):
            raise redis.TimeoutError("All connections are busy; none came free in time")
        try:
            answers = self._exchange(commands)
            for _ in range(_MOST_MOVES):
                failure = _failure(answers)
                if failure is None or not (
                    redirection(failure) or isinstance(failure, ReadOnlyError)
                ):
                    break
                self.follow(failure)
                answers = self._exchange(commands)
            if failure := _failure(answers):
                raise failure
            return answers
        finally:
            self._turns.release()

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._take()
        answers: list[Any] = []
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            for _ in commands:
                try:
                    answers.append(connection.read_response())
                except ResponseError as error:
                    answers.append(error)
        except BaseException as error:
            # An answer that nobody waited for must not be the next command's.
            connection.disconnect()
            if isinstance(error, RedisError):
                self.follow(error)
            raise
        self._idle.setdefault(_here(), []).append(connection)
        return answers

    def _take(self) -> Connection:
        idle = self._idle.get(_here(), [])
        while idle:
            connection = idle.pop()
            try:
                if not connection.can_read(timeout=0):
                    return connection
            except (RedisError, OSError):
                pass
            connection.disconnect()
        return self.open()

    def _locate(self) -> Address:
        seeds = [
            self._seeds[(self._seed + step) % len(self._seeds)]
            for step in range(len(self._seeds))
        ]
        if self._service is None:
            return seeds[0]
        trouble = f"no sentinel knows the service {self._service!r}"
        for seed in seeds:
            try:
                address = self._ask_sentinel(seed)
            except (RedisError, OSError) as error:
                trouble = str(error)
            else:
                if address is not None:
                    self._address = address
                    return address
        raise redis.ConnectionError(f"Sentinel: {trouble}")

    def _ask_sentinel(self, address: Address) -> Address | None:
        assert self._service is not None
        options = {
            name: value
            for name, value in self._options.items()
            if name not in ("db", "username", "password", "client_name")
        }
        connection = self._open(address, {**options, **self._sentinel_login})
        try:
            connection.send_command(
                "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service
            )
            answer: Any = connection.read_response()
        finally:
            connection.disconnect()
        return (answer[0].decode(), int(answer[1])) if answer else None

    def _open(self, address: Address, options: dict[str, Any]) -> Connection:
        host, port = address
        connection = self._class(host=host, port=port, **options)
        try:
            connection.connect()
        except BaseException:
            connection.disconnect()
            raise
        return connection


def redirection(error: Exception) -> MovedError | None:
    """A cluster's "it is elsewhere", if that is what the error is."""
    if isinstance(error, MovedError):
        return error
    # Before redis-py 6 only its cluster client knew this error from others.
    text = str(error)
    return MovedError(text[len("MOVED ") :]) if text.startswith("MOVED ") else None


def _failure(answers: Sequence[Any]) -> ResponseError | None:
    return next((a for a in answers if isinstance(a, ResponseError)), None)


def _here() -> tuple[int, int]:
    # A gevent socket belongs to its thread's loop; a plain one is anybody's.
    return os.getpid(), threading.get_native_id() if is_cooperative() else 0


def _addresses(parts: SplitResult, port: int) -> list[Address]:
    addresses = []
    for text in parts.netloc.rpartition("@")[2].split(","):
        try:
            one = urlsplit(f"//{text}")
            addresses.append((one.hostname or "localhost", one.port or port))
        except ValueError as error:
            raise ConfigError(
                f"SSE_PUSH_BACKEND_URL has a host that cannot be read, {text!r}: write "
                "host:port."
            ) from error
    return addresses


def _options(scheme: str, parts: SplitResult, path: str) -> dict[str, Any]:
    """What the URL says of connections, as redis-py's ``Connection`` takes it."""
    scheme = scheme.replace("valkey", "redis")
    login, at, _ = parts.netloc.rpartition("@")
    url = f"{scheme}://{login}{at}localhost{path}?{parts.query}"
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "socket_keepalive": True,
    }
    try:
        options.update(parse_url(url))  # type: ignore[no-untyped-call]
        for name in ("host", "port", "decode_responses", "retry_on_error"):
            options.pop(name, None)
        # A retry after a lost answer would write an event twice: whoever has given the
        # event a nonce tries again.
        options.update(retry=Retry(NoBackoff(), 0), retry_on_timeout=False)
        if path.strip("/") and not path.strip("/").isdecimal():
            raise ValueError("the database is a number")
        connection_class = options.get("connection_class", redis.Connection)
        connection_class(
            **{
                name: value
                for name, value in options.items()
                if name not in ("connection_class", "max_connections")
                and not name.startswith("sentinel_")
            }
        )
        int(options.get("max_connections", 1))
    except (ValueError, TypeError, RedisError) as error:
        raise ConfigError(
            f"SSE_PUSH_BACKEND_URL has an option that redis-py does not take: {error}"
        ) from error
    return options
