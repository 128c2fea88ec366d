"""An application of many pages, each with a plain ``EventSource`` and nothing else."""

from __future__ import annotations

import os

from flask import Flask, Response, jsonify, request

from flask_sse_push import SSEPush

# The page tells what it shows, for the test alone: the extension learns nothing by it.
_PAGE = """<!doctype html>
<title>page {number}</title>
<a id="next" href="/page/{next}">next</a>
<script>
const source = new EventSource("/sse/stream");
source.addEventListener("toast", (event) => {{
  document.body.dataset.shown = JSON.parse(event.data).n;
  navigator.sendBeacon("/shown/{number}/" + document.body.dataset.shown);
}});
addEventListener("pagehide", () => source.close());
</script>
<body></body>
"""

sse = SSEPush()
shown: list[tuple[int, int]] = []


@sse.user_loader
def load_user() -> str | None:
    return request.cookies.get("user")


app = Flask(__name__)
for key, value in os.environ.items():
    if key.startswith("SSE_PUSH_"):
        app.config[key] = int(value) if value.isdigit() else value
sse.init_app(app)


@app.get("/login/<user>")
def log_in(user: str) -> Response:
    answer = Response("hello")
    answer.set_cookie("user", user)
    return answer


@app.get("/page/<int:number>")
def page(number: int) -> str:
    return _PAGE.format(number=number, next=number + 1)


@app.post("/toast/<user>/<int:number>")
def toast(user: str, number: int) -> Response:
    return jsonify(id=sse.send_to_user(user, "toast", {"n": number}).id)


@app.post("/toast-all/<int:number>")
def toast_all(number: int) -> Response:
    return jsonify(id=sse.broadcast("toast", {"n": number}).id)


@app.post("/shown/<int:number>/<int:toast>")
def note(number: int, toast: int) -> tuple[str, int]:
    shown.append((number, toast))
    return "", 204


@app.get("/shown")
def all_shown() -> Response:
    return jsonify(shown)
