"""What health says: of processes that start, that are cut off, and to whom."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from flask import Flask, request

from flask_sse_push import BackendError, ConfigError, SSEPush
from flask_sse_push.application.state import state_of
from tests.support.clients import eventually
from tests.support.redis_server import RedisServer, free_port
from tests.support.servers import ROOT, serve

LIVENESS = {"status", "isHealthy", "timestamp"}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def remote(app: Flask) -> Iterator[tuple[RedisServer, SSEPush]]:
    """An extension and a server of its own, which hears nothing yet."""
    with RedisServer() as server:
        server.pause()
        # Long enough for the first attempt to be seen under way on a busy machine.
        app.config["SSE_PUSH_BACKEND_URL"] = f"{server.url}?socket_timeout=4"
        try:
            yield server, SSEPush(app)
        finally:
            server.resume()
            state_of(app).engine.stop()


@pytest.mark.server
@pytest.mark.redis
@pytest.mark.parametrize("kind", ["gunicorn-gevent", "gunicorn-gthread", "flask-run"])
def test_the_first_answer_of_a_fresh_worker(kind: str, server: RedisServer) -> None:
    environ = {"SSE_PUSH_BACKEND_URL": server.url, "SSE_PUSH_KEY_PREFIX": kind}
    with serve(kind, environ=environ) as fresh:
        answer = httpx.get(f"{fresh.url}/sse/health", timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == LIVENESS
    assert answer.json()["status"] in ("healthy", "starting")
    assert answer.json()["isHealthy"] is True


_FIRST_QUESTION = """
import json, sys
from flask import Flask
from flask_sse_push import SSEPush
from flask_sse_push.metrics import Metrics
from prometheus_client import REGISTRY

app = Flask(__name__)
app.config.update(SSE_PUSH_BACKEND_URL=sys.argv[1], SSE_PUSH_KEY_PREFIX=sys.argv[2])
sse = SSEPush(app)
Metrics(app)
if sys.argv[3] == "metrics":
    answer = REGISTRY.get_sample_value("sse_push_healthy", {"app": app.name})
elif sys.argv[3] == "check":
    answer = sse.check_health()["status"]
else:
    answer = sse.health()["status"]
print(json.dumps(answer))
"""


def ask(url: str, question: str) -> Any:
    """What the first question of a fresh process is answered."""
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_QUESTION, url, "first", question],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.redis
def test_the_first_question_of_a_fresh_process(server: RedisServer) -> None:
    assert ask(server.url, "metrics") == 1.0
    assert ask(server.url, "check") == "healthy"
    assert ask(server.url, "health") in ("healthy", "starting")
    assert ask(f"redis://127.0.0.1:{free_port()}/0", "metrics") == 0.0


@pytest.mark.redis
def test_starting_is_no_failure_until_the_server_does_not_answer(
    app: Flask, remote: tuple[RedisServer, SSEPush]
) -> None:
    server, sse = remote
    client = app.test_client()
    starting = client.get("/sse/health")
    assert starting.status_code == 200
    assert starting.json is not None
    assert starting.json["status"] == "starting"
    assert starting.json["isHealthy"] is True
    # A deployment that asks outright gets an answer.
    with pytest.raises(BackendError, match="SSE_PUSH_BACKEND_URL cannot be reached"):
        sse.check_health()
    eventually(lambda: client.get("/sse/health").status_code == 503)
    failed = client.get("/sse/health")
    assert failed.json is not None
    assert failed.json["status"] == "unhealthy"
    assert failed.json["isHealthy"] is False
    server.resume()
    eventually(lambda: sse.health()["status"] == "healthy")
    assert sse.check_health()["backend"]["reachable"] is True


def test_only_whom_the_authorizer_lets_sees_more_than_liveness(
    app: Flask, sse: SSEPush
) -> None:
    client = app.test_client()
    everything = sse.health().keys()
    assert client.get("/sse/health").json.keys() == LIVENESS  # type: ignore[union-attr]

    @sse.health_authorizer
    def is_operator() -> bool:
        return request.headers.get("Authorization") == "Bearer operator"

    assert is_operator is not None
    assert client.get("/sse/health").json.keys() == LIVENESS  # type: ignore[union-attr]
    headers = {"Authorization": "Bearer operator"}
    shown = client.get("/sse/health", headers=headers)
    assert shown.status_code == 200
    assert shown.headers["Cache-Control"] == "no-store"
    assert shown.json is not None
    assert shown.json.keys() == everything >= LIVENESS
    assert shown.json["connectedClients"] == 0
    assert shown.json["backend"] == {"kind": "memory", "reachable": True}


def test_what_is_registered_must_be_a_function(sse: SSEPush) -> None:
    for register in (
        sse.user_loader,
        sse.groups_loader,
        sse.authorizer,
        sse.health_authorizer,
    ):
        name = register.__name__
        with pytest.raises(ConfigError, match=f"^{name} takes a function, not True"):
            register(True)  # type: ignore[type-var]
