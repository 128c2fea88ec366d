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
    UnixDomainSocketConnection,
)
from redis.sentinel import MasterNotFoundError, Sentinel

from ...runtime.concurrency import current_loop
from .url import Address, Target

try:
    from redis.maint_notifications import MaintNotificationsConfig
except ModuleNotFoundError:  # before redis-py 7
    _WITHOUT_NOTIFICATIONS: dict[str, Any] = {}
else:
    # Pools would ask each server for the notices of one vendor's cloud, a round trip
    # more for each connection, and then use connections with unread answers.
    _WITHOUT_NOTIFICATIONS = {
        "maint_notifications_config": MaintNotificationsConfig(enabled=False)
    }


class _Located:
    """A connection that asks where the server is each time it connects.

    redis-py's own connections know one address for good, and those of its
    ``SentinelConnectionPool`` ask sentinels only. This one serves for both, and for
    URLs of several hosts and a cluster's redirections, which that pool cannot follow;
    nor does that pool wait for a connection that comes free.
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

    :param locate: says which server of the target to connect to.
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
        options = {**target.options, **target.pool_options}
        connection_class = target.connection_class
        if connection_class is not UnixDomainSocketConnection:
            connection_class = _LOCATED[connection_class]
            options["locate"] = self._make_locate()
        return BlockingConnectionPool(  # type: ignore[no-untyped-call]
            connection_class=connection_class,
            **options,
            **_WITHOUT_NOTIFICATIONS,
        )

    def _make_locate(self) -> Callable[[], Address]:
        target = self._target
        if target.service is None:
            return self._locate
        return partial(_ask_sentinels, _make_sentinel(target), target)


def _make_sentinel(target: Target) -> Sentinel:
    sentinel = Sentinel([])  # type: ignore[no-untyped-call]
    # Made here, as its own take the options of ``redis.Redis``, not a connection's.
    sentinel.sentinels = [
        redis.Redis(
            connection_pool=ConnectionPool(
                connection_class=target.connection_class,
                host=host,
                port=port,
                **target.sentinel_options,
                **_WITHOUT_NOTIFICATIONS,
            )
        )
        for host, port in target.addresses
    ]
    return sentinel


def _ask_sentinels(sentinel: Sentinel, target: Target) -> Address:
    try:
        address: Address = sentinel.discover_master(target.service)  # type: ignore[no-untyped-call]
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


def _close_idle(pool: BlockingConnectionPool) -> None:
    for connection in list(pool.pool.queue):
        if connection is not None:  # a place that was never used
            connection.disconnect()
