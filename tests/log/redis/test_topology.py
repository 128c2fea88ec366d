"""The choice between several servers: hosts, replicas, clusters, sentinels."""

from __future__ import annotations

import pytest
import redis

from flask_sse_push.errors import BackendError
from flask_sse_push.events import START
from flask_sse_push.log.redis.server import Server
from tests.log.redis.workers import Worker, send, send_when_possible, wait_for_texts
from tests.support.clients import eventually
from tests.support.redis_server import RedisServer, free_port

pytestmark = pytest.mark.redis


def test_the_next_host_of_the_url_is_tried(shared: RedisServer) -> None:
    server = Server(f"redis://127.0.0.1:{free_port()},127.0.0.1:{shared.port}")
    with pytest.raises(BackendError):
        server.call(("ECHO", "x"))
    assert server.call(("ECHO", "x")) == [b"x"]
    server.close()


def test_a_primary_that_became_a_replica_is_left(
    shared: RedisServer, prefix: str
) -> None:
    with RedisServer() as old:
        server = Server(f"redis://127.0.0.1:{old.port},127.0.0.1:{shared.port}")
        server.call(("SET", f"{prefix}:x", "1"))
        old.command("REPLICAOF", "127.0.0.1", shared.port)
        server.call(("SET", f"{prefix}:x", "2"))
        server.close()
    assert shared.command("GET", f"{prefix}:x") == b"2"


def test_a_clusters_redirection_is_followed(workers: list[Worker], prefix: str) -> None:
    buses = [free_port(), free_port()]
    nodes = [
        RedisServer("--cluster-enabled", "yes", "--cluster-port", str(bus))
        for bus in buses
    ]
    with nodes[0] as here, nodes[1] as there:
        here.command("CLUSTER", "MEET", "127.0.0.1", there.port, buses[1])
        there.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        eventually(
            lambda: (
                b"cluster_state:ok" in here.command("CLUSTER", "INFO")
                and b"cluster_state:ok" in there.command("CLUSTER", "INFO")
            ),
        )
        worker = Worker(here.url, key_prefix=prefix)
        workers.append(worker)
        worker.start()
        send(worker, "a", channel="user:1")
        wait_for_texts(worker, ["a"])
        worker.receiver.users = {"1": 1}
        other = Worker(here.url, key_prefix=prefix)
        workers.append(other)
        other.start()
        eventually(lambda: other.backend.is_user_connected("1"))
        assert other.texts == ["a"]
        assert len(worker.backend.unread("1", START).entries) == 1
        assert there.command("XLEN", f"{{{prefix}}}:log") == 2
        for one in (worker, other):
            one.backend.stop()


def test_sentinel_says_where_the_primary_is(workers: list[Worker], prefix: str) -> None:
    quick = ("--repl-diskless-sync-delay", "0")
    with RedisServer(*quick) as primary, RedisServer(*quick) as replica:
        replica.command("REPLICAOF", "127.0.0.1", primary.port)
        sentinel = RedisServer()
        try:
            sentinel.start_sentinel("shop", primary)
            url = (
                f"redis+sentinel://127.0.0.1:{free_port()},"
                f"127.0.0.1:{sentinel.port}/shop/0"
            )
            worker = Worker(url, key_prefix=prefix)
            workers.append(worker)
            worker.start()
            send(worker, "a")
            eventually(lambda: replica.command("XLEN", f"{{{prefix}}}:log") == 2)

            # A requested failover is quick, once the sentinel knows the replica.
            def fail_over() -> bool:
                try:
                    sentinel.command("SENTINEL", "FAILOVER", "shop")
                except redis.ResponseError:  # it does not know the replica yet
                    return False
                return True

            eventually(fail_over, seconds=15)

            def is_promoted() -> bool:
                try:
                    return bool(replica.client.info("replication")["role"] == "master")
                except redis.ConnectionError:  # the sentinel closes all connections
                    return False

            eventually(is_promoted, seconds=15)
            send_when_possible(worker, "b")
            wait_for_texts(worker, ["a", "b"])
            worker.backend.stop()
        finally:
            sentinel.close()


def test_sentinels_that_cannot_be_reached_are_named() -> None:
    sentinels = f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"
    server = Server(f"redis+sentinel://{sentinels}/shop/0?sentinel_password=s3cret")
    with pytest.raises(BackendError) as caught:
        server.call(("PING",))
    expected = f"no sentinel of {sentinels.replace(',', ', ')} knows a running primary"
    assert expected in str(caught.value)
    assert "s3cret" not in str(caught.value)
