"""Sends commands to the server of a URL, and finds it again when it moves.

The server is Redis or Valkey: a single server (over TCP, TLS or a Unix socket), a
primary behind Sentinel, or a cluster. All keys share one hash tag, so a cluster keeps
them on one node, and following its redirections is enough.

This uses the connection pools of redis-py but not its client class. Answers are
returned as the protocol has them, several commands take one round trip, and no command
is sent twice: if an answer is lost, the server may have run the command.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from queue import Empty
from typing import Any

import redis
from redis.connection import BlockingConnectionPool
from redis.exceptions import (
    AuthenticationError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from ...errors import BackendError
from ...runtime.concurrency import run_on_loop
from .pools import Pools
from .scripts import Script
from .url import Address, Target, parse_target

Command = Sequence[str | bytes | int | float]

# The most redirections that are followed for one command.
_MAX_MOVES = 3
# Errors that another try cannot mend.
_CREDENTIALS = (AuthenticationError, NoPermissionError)
# Errors that mean that the data is on another server.
_ELSEWHERE = (MovedError, ReadOnlyError)


class Redirected(BackendError):
    """The data is on another server. The next connection goes there."""


class _NotLoaded(BackendError):
    """The server does not have a script."""


class Commands(ABC):
    """Runs commands. The subclasses are the server and one connection to it."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def call(self, *commands: Command) -> list[Any]:
        """Run commands in one round trip.

        :returns: the answers as the protocol has them, with text as bytes.
        :raises BackendError: there is no connection, no answer came in time, or an
            answer is an error.
        """
        try:
            return self._ask(commands)
        except (RedisError, OSError) as error:
            raise translate(error, self._target) from _cause(error, self._target)

    def run(self, script: Script, keys: Sequence[str], arguments: Command) -> Any:
        """Run a script.

        :raises BackendError: as :meth:`call`.
        """
        rest = (len(keys), *keys, *arguments)
        try:
            [answer] = self.call(("EVALSHA", script.digest, *rest))
        except _NotLoaded:
            [answer] = self.call(("EVAL", script.text, *rest))
        return answer

    @abstractmethod
    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands, and return their answers.

        :raises RedisError: an answer is an error, or no answer came.
        """


class Server(Commands):
    """Runs commands on shared connections. Safe for threads, greenlets and forks.

    :param url: the URL of ``SSE_PUSH_BACKEND_URL``; its query has options of redis-py.
    :raises ConfigError: the URL has no host, a wrong port or a wrong option.
    """

    def __init__(self, url: str) -> None:
        super().__init__(parse_target(url))
        self._pools = Pools(self._target, self._locate)
        self._moved: Address | None = None
        self._turn = 0

    def open(self, silence: float = 0.0) -> Session:
        """Open a connection that only the calling thread uses.

        :param silence: how many seconds longer than usual an answer may take.
        :raises BackendError: the server cannot be reached.
        """
        try:
            return Session(self, self._target, self._pools.connect(silence))
        except (RedisError, OSError) as error:
            self.follow(error)
            raise translate(error, self._target) from _cause(error, self._target)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._pools.close_idle()

    def follow(self, failure: Exception) -> None:
        """Choose the server for the next connection after a failure.

        It is the node that a cluster's answer names, or else the next host of the URL.
        """
        if isinstance(failure, MovedError) and self._target.addresses:
            self._moved = (failure.host or self._locate()[0], int(failure.port))
        else:
            self._moved = None
            self._turn += 1
        if isinstance(failure, _ELSEWHERE):
            self.close()

    def exchange(self, connection: Any, commands: Sequence[Command]) -> list[Any]:
        """Send commands, and return their answers, which may be errors."""
        answers: list[Any] = []
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            for _ in commands:
                try:
                    answers.append(connection.read_response())
                except ResponseError as error:
                    answers.append(error)
        except BaseException as error:
            # Otherwise, the next command would read an answer to one of these.
            connection.disconnect()
            if isinstance(error, RedisError):
                self.follow(error)
            raise
        return answers

    def _locate(self) -> Address:
        addresses = self._target.addresses
        return self._moved or addresses[self._turn % len(addresses)]

    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        return run_on_loop(self._ask_here, commands)

    def _ask_here(self, commands: Sequence[Command]) -> list[Any]:
        pool = self._pools.get()
        connection = self._take(pool)
        try:
            answers = self.exchange(connection, commands)
            for _ in range(_MAX_MOVES):
                failure = _first_error(answers)
                if not isinstance(failure, _ELSEWHERE):
                    break
                self.follow(failure)
                connection.disconnect()
                answers = self.exchange(connection, commands)
        finally:
            pool.release(connection)  # type: ignore[no-untyped-call]
        if failure := _first_error(answers):
            raise failure
        return answers

    def _take(self, pool: BlockingConnectionPool) -> Any:
        try:
            return pool.get_connection()  # type: ignore[no-untyped-call]
        except RedisError as error:
            if isinstance(error.__context__, Empty):
                raise redis.TimeoutError(
                    f"All {pool.max_connections} connections are busy, and none became "
                    "free in time. Raise the option max_connections= of the URL."
                ) from None
            self.follow(error)
            raise


class Session(Commands):
    """Runs commands on one connection, which is closed after the first failure."""

    def __init__(self, server: Server, target: Target, connection: Any) -> None:
        super().__init__(target)
        self._server = server
        self._connection = connection

    def close(self) -> None:
        """Close the connection, even if a thread waits for an answer on it."""
        self._connection.disconnect()

    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        answers = self._server.exchange(self._connection, commands)
        if failure := _first_error(answers):
            if not isinstance(failure, NoScriptError):
                self._server.follow(failure)
            raise failure
        return answers


def _first_error(answers: Sequence[Any]) -> ResponseError | None:
    """The first error among answers."""
    return next((a for a in answers if isinstance(a, ResponseError)), None)


def translate(error: Exception, target: Target) -> BackendError:
    """Convert an error of redis-py into the one to raise."""
    # Servers quote commands that they do not know, including HELLO with the password.
    text = target.redact(str(error))
    if isinstance(error, _CREDENTIALS):
        return BackendError(
            "Redis refuses the user or the password. Correct them in the URL, as in "
            f"redis://user:password@host:6379/0 ({text})"
        )
    kind = {MovedError: Redirected, NoScriptError: _NotLoaded}.get(type(error))
    return (kind or BackendError)(f"Redis: {text}")


def _cause(error: Exception, target: Target) -> Exception | None:
    return None if target.redact(str(error)) != str(error) else error
