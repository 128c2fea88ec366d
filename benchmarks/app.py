"""The benchmark application: no login, no rate limit, anyone may open any stream.

``SSE_PUSH_*`` environment variables become configuration keys of the same name; a
value that is valid JSON (a number, ``true``) is decoded, any other is kept as text.
"""

from __future__ import annotations

import json
import os

from flask import Flask, Response, request

from flask_sse_push import SSEPush

sse = SSEPush()


@sse.health_authorizer
def everybody() -> bool:
    return True


def environment_config(prefix: str = "SSE_PUSH_") -> dict[str, object]:
    """The environment's variables that start with ``prefix``, values decoded."""
    config: dict[str, object] = {}
    for name, text in os.environ.items():
        if name.startswith(prefix):
            try:
                config[name] = json.loads(text)
            except ValueError:
                config[name] = text
    return config


def create_app() -> Flask:
    """The application with its own stream route and the views that send."""
    app = Flask(__name__)
    app.config.update(environment_config())
    sse.init_app(app)

    @app.get("/events")
    def events() -> Response:
        return sse.stream_response(user_id=request.args.get("user"))

    @app.post("/broadcast")
    def broadcast() -> tuple[str, int]:
        sse.broadcast("bench", {"body": request.get_data(as_text=True)})
        return "", 204

    @app.post("/send/<user>")
    def send(user: str) -> tuple[str, int]:
        sse.send_to_user(user, "bench", {"body": request.get_data(as_text=True)})
        return "", 204

    @app.get("/ping")
    def ping() -> str:
        return "ok"

    return app


app = create_app()
