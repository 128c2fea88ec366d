"""An application for pages of other origins: tokens and tickets, no cookies."""

from __future__ import annotations

import secrets

from flask import Flask, Response, jsonify, request

from flask_sse_push import SSEPush
from tests.support.webapp import environment_config

sse = SSEPush()
# The one token that each user has now.
tokens: dict[str, str] = {}


@sse.user_loader
def load_user() -> str | None:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    user = next((user for user, known in tokens.items() if known == token), None)
    return user or request.args.get("user")


@sse.authorizer
def may_open(user_id: str | None) -> bool:
    return user_id is not None


def create_app() -> Flask:
    """Configured by ``SSE_PUSH_*`` in the environment."""
    app = Flask(__name__)
    app.config.update(environment_config(), SECRET_KEY="for tests only")
    sse.init_app(app)

    @app.get("/")
    def index() -> str:
        return "<!doctype html><title>test</title>"

    @app.get("/token/<user>")
    def token(user: str) -> str:
        """A new token, which takes the place of the old one."""
        tokens[user] = secrets.token_urlsafe()
        return tokens[user]

    @app.get("/ticket/<user>")
    def ticket(user: str) -> str:
        seconds = float(request.args.get("seconds", 60))
        return sse.issue_ticket(user, ["ticketed"], seconds)

    @app.post("/send/<user>/<event>")
    def send(user: str, event: str) -> Response:
        return jsonify(id=sse.send_to_user(user, event, request.get_json()).id)

    @app.post("/broadcast/<event>")
    def broadcast(event: str) -> Response:
        return jsonify(id=sse.broadcast(event, request.get_json()).id)

    @app.after_request
    def allow(response: Response) -> Response:
        if request.path.startswith(("/token", "/ticket")):
            response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    return app


app = create_app()
