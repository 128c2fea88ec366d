"""Flask-SSE from PyPI for comparison, with the routes of ``benchmarks/app.py``.

Its stream serves one channel, named in the query. It has no ids, keeps nothing and
holds one connection to Redis for each client.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from flask import Flask, request

# Flask-SSE has no type annotations.
sse: Any = import_module("flask_sse").sse

app = Flask(__name__)
app.config["REDIS_URL"] = os.environ.get("SSE_PUSH_BACKEND_URL")
app.register_blueprint(sse, url_prefix="/events")


@app.post("/broadcast")
def broadcast() -> tuple[str, int]:
    sse.publish({"body": request.get_data(as_text=True)}, type="bench")
    return "", 204


@app.post("/send/<user>")
def send(user: str) -> tuple[str, int]:
    body = {"body": request.get_data(as_text=True)}
    sse.publish(body, type="bench", channel=user)
    return "", 204


@app.get("/ping")
def ping() -> str:
    return "ok"
