"""The application behind the figures for an authenticated connect.

A signed session cookie names the user. ``user_loader`` reads it, and the extension's
own route ``/sse/stream`` serves the stream; ``/whoami`` only reads it and answers,
which measures the cost of the cookie alone.
"""

from __future__ import annotations

from flask import Flask, request, session

from benchmarks.app import environment_config
from flask_sse_push import SSEPush

sse = SSEPush()


def create_app() -> Flask:
    """The application: a login, who is logged in, and a view that sends to one user."""
    app = Flask(__name__)
    app.config.update(environment_config(), SECRET_KEY="only for measuring")
    sse.init_app(app)

    @sse.user_loader
    def current_user() -> str | None:
        user = session.get("user")
        return None if user is None else str(user)

    @app.post("/login/<user>")
    def login(user: str) -> tuple[str, int]:
        session["user"] = user
        return "", 204

    @app.get("/whoami")
    def whoami() -> str:
        return current_user() or ""

    @app.post("/send/<user>")
    def send(user: str) -> tuple[str, int]:
        sse.send_to_user(user, "bench", {"body": request.get_data(as_text=True)})
        return "", 204

    return app


app = create_app()
