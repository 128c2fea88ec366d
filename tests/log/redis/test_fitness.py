"""What a check says of a Redis or Valkey server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_sse_push.config import Config
from flask_sse_push.findings import Finding, Level
from flask_sse_push.log.redis import RedisBackend
from flask_sse_push.log.redis.fitness import _check_version
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def check(url: str) -> list[Finding]:
    backend = RedisBackend(Config(backend_url=url))
    try:
        return list(backend.check())
    finally:
        backend.stop()


@pytest.mark.parametrize(
    ("policy", "level", "says"),
    [
        ("noeviction", None, ""),
        ("allkeys-lru", Level.ERROR, "may drop the whole event log"),
        ("allkeys-random", Level.ERROR, "may drop the whole event log"),
        ("volatile-ttl", Level.WARNING, "may drop mailboxes"),
    ],
)
@pytest.mark.parametrize("memory", ["0", "500mb"])
def test_eviction(
    server: RedisServer, memory: str, policy: str, level: Level | None, says: str
) -> None:
    server.command("CONFIG", "SET", "maxmemory", memory)
    server.command("CONFIG", "SET", "maxmemory-policy", policy)
    first, *others = check(server.url)
    assert first.level is Level.OK
    if level is None:
        assert others == []
        return
    [finding] = others
    assert finding.level is level
    assert policy in finding.message
    assert says in finding.message
    assert "noeviction" in finding.remedy
    assert ("524288000 bytes" in finding.message) == (memory == "500mb")


def test_a_server_that_takes_no_writes_is_no_home(server: RedisServer) -> None:
    with RedisServer("--replicaof", "127.0.0.1", str(server.port)) as replica:
        [finding] = check(replica.url)
    assert finding.level is Level.ERROR
    assert "does not accept writes" in finding.message
    assert "primary" in finding.remedy


def test_a_user_who_may_not_ask_for_info(server: RedisServer) -> None:
    server.command("ACL", "SETUSER", "narrow", "on", ">secret", "~*", "+@all", "-info")
    url = server.url.replace("//", "//narrow:secret@")
    [finding] = check(url)
    assert finding.level is Level.WARNING
    assert "does not show its version" in finding.message
    assert "secret" not in finding.message


@pytest.mark.parametrize(
    ("version", "is_old"),
    [("5.0.14", True), ("6.0.20", True), ("6.2.0", False), ("7.2.4", False)],
)
def test_versions(version: str, is_old: bool) -> None:
    assert [f.level for f in _check_version(version)] == [Level.ERROR] * is_old
