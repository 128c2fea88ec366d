"""The routes: authorization, acknowledgements, health, and CORS."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask, Response, abort, request
from werkzeug.datastructures import WWWAuthenticate

from flask_sse_push import ConfigError, SSEPush
from flask_sse_push.application.state import state_of
from tests.support.redis_server import RedisServer


@pytest.mark.parametrize("loaded", [object(), "", 1.5, True])
def test_a_user_loader_gives_an_id(app: Flask, sse: SSEPush, loaded: object) -> None:
    sse.user_loader(lambda: loaded)
    with pytest.raises(ConfigError, match="user_loader must return"):
        app.test_client().get("/sse/stream")


def test_who_may_open_a_stream(app: Flask, sse: SSEPush) -> None:
    @sse.user_loader
    def load() -> str | None:
        return request.args.get("user")

    @sse.authorizer
    def may_open(user_id: str | None) -> bool:
        return user_id == "1"

    client = app.test_client()
    assert client.get("/sse/stream").status_code == 401
    assert client.get("/sse/stream?user=2").status_code == 403
    assert client.post("/sse/ack", json={"id": "1-1"}).status_code == 401
    response = client.get("/sse/stream?user=1", buffered=False)
    assert response.status_code == 200
    response.close()


def test_the_loaders_error_is_the_applications(app: Flask, sse: SSEPush) -> None:
    @sse.user_loader
    def load() -> str:
        raise LookupError("no such session")

    with pytest.raises(LookupError):
        app.test_client().get("/sse/stream")
    assert sse.get_client_count() == 0


def test_a_groups_loader_is_not_asked_for_nobody(app: Flask, sse: SSEPush) -> None:
    @sse.groups_loader
    def load(user_id: str) -> list[str]:
        raise AssertionError(user_id)

    response = app.test_client().get("/sse/stream", buffered=False)
    assert response.status_code == 200
    response.close()


def test_groups_are_several_names(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: 1)
    sse.groups_loader(lambda user_id: "admins")
    with pytest.raises(
        ConfigError, match="groups_loader must return a list of group names"
    ):
        app.test_client().get("/sse/stream")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "5-1"}, 200),
        ({"id": "nonsense"}, 400),
        ({"id": "5-1m"}, 200),
        ({"id": 5}, 400),
        ({"id": None}, 400),
        ([], 400),
        ({}, 400),
        ({"ids": ["5-1", "6-1m"]}, 200),
        ({"ids": []}, 200),
        ({"ids": "5-1"}, 400),
        ({"ids": ["5-1", "nonsense"]}, 400),
        ({"ids": ["5-1", {}]}, 400),
        ({"id": "5-1", "ids": ["5-1"]}, 400),
        ({"ids": ["5-1"] * 1001}, 413),
        ({"ids": ["5-1"], "more": "x" * 70_000}, 413),
    ],
)
def test_acknowledging(app: Flask, sse: SSEPush, body: Any, status: int) -> None:
    sse.user_loader(lambda: 1)
    answer = app.test_client().post("/sse/ack", json=body)
    assert answer.status_code == status
    assert answer.is_json
    assert answer.json is not None
    assert answer.json == {"removed": 0} or answer.json["message"].startswith(
        ("Send ", "'nonsense' is not", "'5' is not", "'None' is not", "'{}' is not")
    )


def test_a_body_of_unknown_length_is_not_read(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: 1)
    answer = app.test_client().post(
        "/sse/ack",
        input_stream=io.BytesIO(b'{"ids": []}'),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
    )
    assert answer.status_code == 411


def test_single_events_are_acknowledged(app: Flask, sse: SSEPush) -> None:
    app.config["SSE_PUSH_ACKNOWLEDGE"] = "explicit"
    sse.user_loader(lambda: 1)
    ids = [sse.send_to_user(1, "n", {"n": n}).id for n in range(4)]
    client = app.test_client()
    answer = client.post("/sse/ack", json={"ids": [ids[1], f"{ids[3]}m", "1-1"]})
    assert answer.json == {"removed": 2}
    answer = client.post("/sse/ack", json={"id": ids[3]})
    assert answer.json == {"removed": 2}


def test_acknowledging_takes_json_only(app: Flask, sse: SSEPush) -> None:
    sse.user_loader(lambda: 1)
    client = app.test_client()
    assert client.post("/sse/ack", data={"id": "5-1"}).status_code == 415
    assert client.get("/sse/ack").status_code == 405


def test_nobody_in_particular_has_no_mailbox(app: Flask, sse: SSEPush) -> None:
    answer = app.test_client().post("/sse/ack", json={"id": "1-1"})
    assert answer.status_code == 401
    assert answer.json == {
        "error": "Unauthorized",
        "message": "Only a logged-in user has a mailbox: log in.",
    }


def test_a_loader_may_end_the_request_in_its_own_way(app: Flask, sse: SSEPush) -> None:
    @sse.user_loader
    def load() -> str:
        if "own" in request.args:
            abort(Response("mine", status=402))
        abort(401, www_authenticate=WWWAuthenticate("basic", {"realm": "shop"}))

    client = app.test_client()
    answer = client.get("/sse/stream")
    assert (answer.status_code, answer.is_json) == (401, True)
    assert answer.headers["WWW-Authenticate"] == "Basic realm=shop"
    own = client.get("/sse/stream?own")
    assert (own.status_code, own.text) == (402, "mine")


@pytest.mark.redis
def test_while_redis_is_away_clients_are_told_to_come_again(app: Flask) -> None:
    with RedisServer() as server:
        app.config["SSE_PUSH_BACKEND_URL"] = server.url
        sse = SSEPush(app)
        sse.user_loader(lambda: "1")
        client = app.test_client()
        sse.send_to_user("1", "n", {}).wait(5)
        server.stop()
        acknowledged = client.post("/sse/ack", json={"id": "1-1"})
        assert (acknowledged.status_code, acknowledged.is_json) == (503, True)
        health = client.get("/sse/health")
        assert health.status_code == 503
        assert health.json is not None
        assert health.json["isHealthy"] is False
        assert sse.health()["connectedClients"] == 0
        # Any other status than 200 would end an EventSource for good.
        stream = client.get("/sse/stream")
        assert stream.status_code == 200
        assert stream.data.startswith(b"retry: ")
        state_of(app).engine.backend.stop()


def test_health_and_the_client_script(app: Flask, sse: SSEPush) -> None:
    client = app.test_client()
    health = client.get("/sse/health")
    assert health.status_code == 200
    assert health.json is not None
    assert health.json["isHealthy"] is True
    assert health.json["timestamp"].endswith("Z")
    script = client.get("/sse/client.js")
    assert script.mimetype == "text/javascript"
    assert b"EventSource" in script.data
    script.close()


def test_another_prefix_moves_all_routes(app: Flask) -> None:
    app.config["SSE_PUSH_URL_PREFIX"] = "/live/events"
    SSEPush(app)
    client = app.test_client()
    assert client.get("/live/events/health").status_code == 200
    assert client.get("/sse/health").status_code == 404


def test_origins_that_are_configured_may_read(app: Flask) -> None:
    app.config["SSE_PUSH_CORS_ORIGINS"] = ["https://shop.example"]
    SSEPush(app)
    client = app.test_client()
    good = client.get("/sse/health", headers={"Origin": "https://shop.example"})
    assert good.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert good.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in good.headers["Vary"]
    bad = client.get("/sse/health", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in bad.headers


@pytest.mark.parametrize("path", ["/sse/stream", "/sse/ack"])
def test_a_preflight_allows_tokens_and_the_headers_that_are_configured(
    app: Flask, path: str
) -> None:
    app.config["SSE_PUSH_CORS_ORIGINS"] = ["https://shop.example"]
    app.config["SSE_PUSH_CORS_HEADERS"] = ["X-Tenant", "X-Trace"]
    SSEPush(app)
    client = app.test_client()
    asking = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, x-tenant",
    }
    asked = client.options(path, headers=asking)
    assert asked.status_code == 200
    allowed = asked.headers["Access-Control-Allow-Headers"].split(", ")
    assert allowed == [
        "Authorization",
        "Content-Type",
        "Last-Event-ID",
        "X-Tenant",
        "X-Trace",
    ]
    assert asked.headers["Access-Control-Allow-Methods"] == "GET, POST"
    assert asked.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert asked.headers["Access-Control-Allow-Credentials"] == "true"
    foreign = client.options(path, headers=asking | {"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Headers" not in foreign.headers


def test_a_preflight_needs_no_user(app: Flask) -> None:
    app.config["SSE_PUSH_CORS_ORIGINS"] = "*"
    sse = SSEPush(app)
    sse.authorizer(lambda user_id: False)
    asked = app.test_client().options(
        "/sse/stream", headers={"Origin": "https://a.example"}
    )
    assert asked.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert "Access-Control-Allow-Credentials" not in asked.headers
