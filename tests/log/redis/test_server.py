"""The server's URL, its password, and its connections."""

from __future__ import annotations

import contextlib
import logging
import re
import select
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flask_sse_push.config import Config
from flask_sse_push.errors import BackendError, ConfigError
from flask_sse_push.events import START
from flask_sse_push.log.redis import RedisBackend
from flask_sse_push.log.redis.scripts import Script
from flask_sse_push.log.redis.server import Server, translate
from flask_sse_push.log.redis.url import parse_target
from tests.log.redis.workers import Worker, send, wait_for_texts
from tests.support.clients import eventually
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis


def test_a_password_is_used_and_told_to_nobody(
    caplog: pytest.LogCaptureFixture, workers: list[Worker], prefix: str
) -> None:
    caplog.set_level(logging.DEBUG, "flask_sse_push")
    with RedisServer(password="s3cret!") as server:
        url = f"redis://:s3cret%21@127.0.0.1:{server.port}/0"
        worker = Worker(url, key_prefix=prefix)
        workers.append(worker)
        worker.start()
        send(worker, "a")
        wait_for_texts(worker, ["a"])
        wrong = Worker(url.replace("s3cret", "wr0ng"), key_prefix=prefix)
        workers.append(wrong)
        wrong.backend.start(wrong.receiver, wrong.receiver)
        with pytest.raises(BackendError) as caught:
            send(wrong, "b")
        eventually(lambda: "cannot be read" in caplog.text)
    with pytest.raises(BackendError) as refused:
        send(worker, "c")
    told = f"{caught.value!r} {refused.value!r} {caplog.text} {worker.backend.health()}"
    assert "Correct them in the URL" in str(caught.value)
    assert "s3cret" not in told
    assert "wr0ng" not in told


def test_a_server_that_quotes_the_password_is_not_quoted() -> None:
    target = parse_target("redis://user:pa55@host")
    quote = "unknown command HELLO 3 AUTH user pa55"
    error = translate(ValueError(quote), target)
    assert str(error) == "Redis: unknown command HELLO 3 AUTH user ***"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://host:port", "host:port"),
        ("redis://host:4294967296", "host:port"),
        ("redis://host/zero", "a database that is not a number"),
        ("redis://host?db=zero", "a database that is not a number"),
        ("redis+sentinel://host/shop/zero", "a database that is not a number"),
        ("unix:///redis.sock?db=zero", "a database that is not a number"),
        ("unix://", "unix:///path/to/redis.sock"),
        ("unix:///redis.sock?socket_keepalive=1", "socket_keepalive"),
        ("redis://:secret/@host", "host:port"),
        ("redis://:1/secret@host", "not a number"),
        ("redis://host?socket_timeout=soon", "socket_timeout"),
        ("redis://:secret@host?no_such_option=1", "no_such_option"),
        ("redis+sentinel://host:26379", "has no service name"),
        ("redis://host?protocol=4", "protocol"),
    ],
)
def test_a_wrong_url_is_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        RedisBackend(Config(backend_url=url))
    assert "secret" not in str(caught.value)


def test_query_options_are_redis_pys(shared: RedisServer) -> None:
    server = Server(f"valkey://127.0.0.1:{shared.port}?client_name=shop&db=3")
    [name] = server.call(("CLIENT", "GETNAME"))
    assert name == b"shop"
    [info] = server.call(("CLIENT", "INFO"))
    assert b" db=3 " in info
    server.close()


def test_a_unix_socket(workers: list[Worker], prefix: str) -> None:
    # Linux allows 107 bytes, which tmp_path may exceed.
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        with RedisServer("--unixsocket", path) as server:
            worker = Worker(f"unix://{path}?db=1", key_prefix=prefix)
            workers.append(worker)
            worker.start()
            send(worker, "a", channel="user:1")
            wait_for_texts(worker, ["a"])
            assert len(worker.backend.unread("1", START).entries) == 1
            assert worker.backend.health()["reachable"]
            assert f"{server.client.info('keyspace')}".startswith("{'db1'")
            worker.backend.stop()
        with pytest.raises(BackendError, match=re.escape(path)):
            Server(f"unix://{path}").call(("PING",))


def test_an_error_does_not_upset_the_connection(shared: RedisServer) -> None:
    server = Server(shared.url)
    with pytest.raises(BackendError, match="wrong number of arguments"):
        server.call(("PING",), ("GET",), ("ECHO", "x"))
    assert server.call(("ECHO", "y")) == [b"y"]
    assert server.run(Script("return ARGV[1]"), [], ["z"]) == b"z"
    server.close()


def test_busy_connections_are_waited_for_no_longer_than_an_answer(
    shared: RedisServer,
) -> None:
    server = Server(f"{shared.url}?max_connections=1&socket_timeout=0.3")

    pool: Any = server._pools.get()
    connection = server._take(pool)
    with pytest.raises(BackendError, match="All 1 connections are busy"):
        server.call(("PING",))
    pool.release(connection)
    assert server.call(("PING",)) in ([b"PONG"], ["PONG"])
    server.close()


@contextlib.contextmanager
def tls_before(server: RedisServer, folder: Path) -> Iterator[tuple[int, Path]]:
    """A TLS end before a server, as in the cloud; yields its port and certificate."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                context.wrap_socket(self.request, server_side=True) as outer,
                socket.create_connection(("127.0.0.1", server.port)) as inner,
            ):
                outer.setblocking(False)
                while True:
                    select.select([outer, inner], [], [])
                    with contextlib.suppress(ssl.SSLWantReadError):
                        if not (data := outer.recv(65_536)):
                            return
                        inner.sendall(data)
                    if select.select([inner], [], [], 0)[0]:
                        if not (data := inner.recv(65_536)):
                            return
                        outer.sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        relay.daemon_threads = True
        threading.Thread(target=relay.serve_forever, args=(0.02,), daemon=True).start()
        yield relay.server_address[1], certificate
        relay.shutdown()


def test_tls(
    shared: RedisServer, workers: list[Worker], prefix: str, tmp_path: Path
) -> None:
    with tls_before(shared, tmp_path) as (port, certificate):
        url = f"valkeys://127.0.0.1:{port}?ssl_ca_certs={certificate}"
        worker = Worker(url, key_prefix=prefix)
        workers.append(worker)
        worker.start()
        send(worker, "a")
        wait_for_texts(worker, ["a"])
        with pytest.raises(BackendError, match="certificate"):
            Server(f"rediss://127.0.0.1:{port}").call(("PING",))
        worker.backend.stop()
