"""The application of the chaos test: streams, and one view that sends."""

from __future__ import annotations

import os

from flask import Flask, Response, request

from flask_sse_push import BackendError, SSEPush

sse = SSEPush()

app = Flask(__name__)
app.config.update(
    SSE_PUSH_BACKEND_URL=os.environ["SSE_PUSH_BACKEND_URL"],
    SSE_PUSH_RETRY_MS=200,
    SSE_PUSH_HEARTBEAT_SECONDS=3,
)
sse.init_app(app)


@app.get("/stream")
def stream() -> Response:
    return sse.stream_response(request.args["user"], ["web"])


@app.post("/send/<int:number>")
def send(number: int) -> tuple[str, int]:
    """Send through this worker's outbox; answer when the event is in the event log."""
    try:
        receipt = sse.send_to_group(
            "web", "n", {"channel": "web", "n": number}, id=f"web-{number}"
        )
    except BackendError:
        return "", 503
    return "", 204 if receipt.wait(2) else 503
