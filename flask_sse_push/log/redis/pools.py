"""redis-py's connection pools, one for each event loop of the process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from redis.connection import (
    BlockingConnectionPool,
    Connection,
    ConnectionPool,
    SSLConnection,
)
from redis.sentinel import MasterNotFoundError, Sentinel

from ...runtime.concurrency import current_loop
from .url import Address, Target


class _Located:
    """A connection that asks where the server is each time it connects.

    redis-py's own connections know one address for good, and its
    ``SentinelConnectionPool`` asks sentinels only: it follows neither a URL of several
    hosts nor a cluster's redirection, and it does not wait for a connection that comes
    free. This one does for all of them, in the pool that waits.
    """

    def __init__(self, *, locate: Callable[[], Address], **options: Any) -> None:
        self._locate = locate
        super().__init__(**options)

    def _connect(self) -> Any:
        self.host, self.port = self._locate()
        return super()._connect()  # type: ignore[misc]


class _LocatedConnection(_Located, Connection):
    pass


class _LocatedSSLConnection(_Located, SSLConnection):
    pass


_LOCATED = {Connection: _LocatedConnection, SSLConnection: _LocatedSSLConnection}


class Pools:
    """Connections to a target; safe for threads, greenlets and forks.

    Under gevent a connection belongs to the event loop of the thread that opened it, so
    each loop has a pool; there are two of them at most.

    :param locate: says which server to connect to, where no sentinel does.
    """

    def __init__(self, target: Target, locate: Callable[[], Address]) -> None:
        self._target = target
        self._locate = locate
        self._pools: dict[Any, BlockingConnectionPool] = {}

    def get(self) -> BlockingConnectionPool:
        """The pool of the event loop of this thread."""
        loop = current_loop()
        try:
            return self._pools[loop]
        except KeyError:
            return self._pools.setdefault(loop, self._make_pool())

    def connect(self, silence: float) -> Any:
        """Open a connection outside of the pool.

        :param silence: seconds the server may take longer for its answers.
        :raises RedisError: no connection.
        """
        pool = self.get()
        options = dict(pool.connection_kwargs)
        options["socket_timeout"] += silence
        connection = pool.connection_class(**options)
        connection.connect()
        return connection

    def close_idle(self) -> None:
        """Close the connections that nobody uses now."""
        here = current_loop()
        for loop, pool in list(self._pools.items()):
            if loop is None or loop is here:
                _close_idle(pool)
            else:
                loop.run_callback_threadsafe(_close_idle, pool)

    def _make_pool(self) -> BlockingConnectionPool:
        target = self._target
        options = dict(target.options)
        if target.addresses:
            base = options.get("connection_class", Connection)
            options["connection_class"] = _LOCATED[base]
            options["locate"] = (
                _make_sentinel(target) if target.service else self._locate
            )
        return BlockingConnectionPool(**options)  # type: ignore[no-untyped-call]


def _close_idle(pool: BlockingConnectionPool) -> None:
    for connection in list(pool.pool.queue):
        if connection is not None:  # a place that was never used
            connection.disconnect()


def _make_sentinel(target: Target) -> Callable[[], Address]:
    sentinel = Sentinel([])  # type: ignore[no-untyped-call]
    # Made here, as its own take the options of ``redis.Redis``, not a connection's.
    sentinel.sentinels = [
        redis.Redis(
            connection_pool=ConnectionPool(
                host=host, port=port, **target.sentinel_options
            )
        )
        for host, port in target.addresses
    ]
    return partial(_ask_sentinels, sentinel, target)


def _ask_sentinels(sentinel: Any, target: Target) -> Address:
    try:
        address: Address = sentinel.discover_master(target.service)
    except MasterNotFoundError as error:
        # Its own text holds every option of every connection, and hardly a reason.
        names = ", ".join(f"{host}:{port}" for host, port in target.addresses)
        raise redis.ConnectionError(
            f"no sentinel of {names} says where the service {target.service!r} is: it "
            "cannot be reached, refuses the password, or does not know the service or "
            "a primary of it that lives"
        ) from error
    finally:
        # They are asked for new connections only, which are few.
        for one in sentinel.sentinels:
            one.connection_pool.disconnect(inuse_connections=False)
    return address
