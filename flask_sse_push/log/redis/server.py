"""Commands to the server a URL names, wherever it is now.

Redis and Valkey, alone, on a Unix socket, with TLS, behind Sentinel or as a cluster.
All keys share one hash tag, so a cluster keeps them on one node, and following its
redirections is all it takes.

Commands are sent and answers read on connections of redis-py's pools, not by its client
class: answers stay as the protocol gives them, several commands take one round trip,
and none is ever sent twice (a lost answer does not say whether it was carried out).
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

# Redirections followed for one command.
_MAX_MOVES = 3
# Answers that no further try will change.
_CREDENTIALS = (AuthenticationError, NoPermissionError)


# Answers that name another server, or call for one.
_ELSEWHERE = (MovedError, ReadOnlyError)


class Redirected(BackendError):
    """The data is on another server, to which the next connection goes."""


class _NotLoaded(BackendError):
    """The server does not have a script."""


class Commands(ABC):
    """What takes commands: the server, or one connection to it."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def call(self, *commands: Command) -> list[Any]:
        """Run commands in one round trip.

        :returns: the answers as the protocol gives them, texts as bytes.
        :raises BackendError: no connection, no answer in time, or an error for answer.
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
        """Run commands.

        :raises RedisError: an answer is an error, or none came.
        """


class Server(Commands):
    """Commands on connections that all share; safe for threads, greenlets and forks.

    :param url: as in ``SSE_PUSH_BACKEND_URL``; query options as redis-py takes them.
    :raises ConfigError: the URL has no host, a wrong port or a wrong option.
    """

    def __init__(self, url: str) -> None:
        super().__init__(parse_target(url))
        self._pools = Pools(self._target, self._locate)
        self._moved: Address | None = None
        self._turn = 0

    def open(self, silence: float = 0.0) -> Session:
        """A connection of one's own, for the thread that opens it.

        :param silence: seconds the server may take longer for its answers.
        :raises BackendError: no connection.
        """
        try:
            return Session(self, self._target, self._pools.connect(silence))
        except (RedisError, OSError) as error:
            self.follow(error)
            raise translate(error, self._target) from _cause(error, self._target)

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        self._pools.close_idle()

    def follow(self, failure: Exception) -> None:
        """Go where a failure says the data is: a cluster's other node, a new primary.

        Where it says nothing, the next connection goes to the URL's next host.
        """
        if isinstance(failure, MovedError) and self._target.addresses:
            self._moved = (failure.host or self._locate()[0], int(failure.port))
        else:
            self._moved = None
            self._turn += 1
        if isinstance(failure, _ELSEWHERE):
            self.close()

    def exchange(self, connection: Any, commands: Sequence[Command]) -> list[Any]:
        """Send commands and read their answers, errors among them."""
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
                    f"All {pool.max_connections} connections are busy; none came free "
                    "in time (max_connections= in the URL allows for more)"
                ) from None
            self.follow(error)
            raise


class Session(Commands):
    """Commands on one connection, which ends with the first failure."""

    def __init__(self, server: Server, target: Target, connection: Any) -> None:
        super().__init__(target)
        self._server = server
        self._connection = connection

    def close(self) -> None:
        """Close the connection, whoever waits for an answer on it."""
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
    """The error to raise for one of redis-py's."""
    # Servers quote a command they do not understand, HELLO with its password too.
    text = target.redact(str(error))
    if isinstance(error, _CREDENTIALS):
        return BackendError(
            "Redis refuses the user or the password: put them right in the URL, as in "
            f"redis://user:password@host ({text})"
        )
    kind = {MovedError: Redirected, NoScriptError: _NotLoaded}.get(type(error))
    return (kind or BackendError)(f"Redis: {text}")


def _cause(error: Exception, target: Target) -> Exception | None:
    return None if target.redact(str(error)) != str(error) else error
