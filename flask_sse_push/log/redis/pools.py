"""Connection pools of redis-py, one for each event loop of the process."""

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
    """A connection that looks up the server's address each time it connects.

    The connections of redis-py keep one address. Its ``SentinelConnectionPool`` asks
    only sentinels: it supports neither several hosts in a URL nor the redirections of a
    cluster, and it does not wait until a connection becomes free. This class supports
    all of these, together with ``BlockingConnectionPool``.

    :param locate: returns the address to connect to.
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
    """The pools of connections to a target. Safe for threads, greenlets and forks.

    Under gevent, a connection belongs to the event loop of the thread that opened it.
    Each loop therefore has its own pool; there are at most two.

    :param locate: returns the address of the server, if no sentinels are used.
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
        """Open a connection that is not part of a pool.

        :param silence: how many seconds longer than usual an answer may take.
        :raises RedisError: the server cannot be reached.
        """
        pool = self.get()
        options = dict(pool.connection_kwargs)
        options["socket_timeout"] += silence
        connection = pool.connection_class(**options)
        connection.connect()
        return connection

    def close_idle(self) -> None:
        """Close the connections that are not in use."""
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
        if connection is not None:  # None is a slot of the pool that was never used
            connection.disconnect()


def _make_sentinel(target: Target) -> Callable[[], Address]:
    sentinel = Sentinel([])  # type: ignore[no-untyped-call]
    # Made here, because Sentinel() takes options of redis.Redis, not of a connection.
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
        # The text of redis-py's error lists the options of all connections, which may
        # be secret, but not the reason.
        names = ", ".join(f"{host}:{port}" for host, port in target.addresses)
        raise redis.ConnectionError(
            f"no sentinel of {names} knows a running primary of the service "
            f"{target.service!r}. Check that the sentinels can be reached and accept "
            "the password, and that the name of the service is correct"
        ) from error
    finally:
        # Sentinels are asked only when a connection is opened, which is rare, so their
        # connections are not kept.
        for one in sentinel.sentinels:
            one.connection_pool.disconnect(inuse_connections=False)
    return address
