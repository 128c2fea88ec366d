"""A small shop that pushes order progress, chat messages and announcements.

Start it with ``gunicorn -k gevent example.app:app``. ``SSE_PUSH_*`` environment
variables become configuration keys of the same name: ``SSE_PUSH_BACKEND_URL`` picks the
backend. ``DEMO_STEP_SECONDS`` is the time between two steps of an order.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from flask import Flask, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from example.products import PRODUCTS
from example.text import is_blank, is_clean, is_one_line
from flask_sse_push import (
    EventName,
    PayloadError,
    Priority,
    RateLimitExceeded,
    SSEPush,
    SSEPushError,
)
from flask_sse_push.services import ChatEvents

ADMIN = "admin"
EVERYONE = "everyone"
SHOPPERS = "shoppers"
STEPS = (
    ("processing", "Order is being processed"),
    ("confirmed", "Order confirmed"),
    ("shipped", "Order has been shipped"),
    ("delivered", "Order delivered successfully"),
)
MAX_USER = 40
MAX_TEXT = 500
# An announcement's priority for the user, and its order of sending.
ANNOUNCEMENT_PRIORITIES = {
    "low": ("low", Priority.LOW),
    "medium": ("medium", Priority.NORMAL),
    "normal": ("medium", Priority.NORMAL),
    "high": ("high", Priority.HIGH),
    "urgent": ("high", Priority.URGENT),
}
# Orders are kept in the session cookie, which can hold about 4 kB.
MAX_ORDERS = 8

sse = SSEPush()
chat_events = ChatEvents(sse)


class RequestError(Exception):
    """Raised when a request is refused; it is answered as JSON with its status."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


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


def field(name: str, *, limit: int, default: str | None = None) -> str:
    """A text field of the request, a form's or a JSON object's.

    :param limit: the most characters.
    :param default: the value of a missing or blank field; ``None`` if it is required.
    :raises RequestError: missing, blank, too long, or with control characters.
    """
    fields: object = request.get_json(silent=True) if request.is_json else request.form
    value = fields.get(name) if isinstance(fields, Mapping) else None
    text = value.strip() if isinstance(value, str) else ""
    if is_blank(text):
        if default is not None:
            return default
        raise RequestError(
            400, f"Send the field {name!r}, not blank, in a form or a JSON object."
        )
    if len(text) > limit:
        raise RequestError(400, f"Shorten {name!r} to at most {limit} characters.")
    if not is_clean(text):
        raise RequestError(400, f"Remove the control characters from {name!r}.")
    return text


def user_field(name: str) -> str:
    """A user's name from the request, one line.

    :raises RequestError: as :func:`field`, or more than one line.
    """
    user = field(name, limit=MAX_USER)
    if not is_one_line(user):
        raise RequestError(400, f"Write {name!r} on one line.")
    return user


def current_user() -> str:
    """The user who is logged in.

    :raises RequestError: nobody is logged in.
    """
    user = session.get("user")
    if user is None:
        raise RequestError(401, "Log in first: POST /login with the field 'user'.")
    return str(user)


@sse.user_loader
def load_user() -> str | None:
    return session.get("user")


@sse.groups_loader
def load_groups(user_id: str) -> Iterable[str]:
    return [SHOPPERS]


@sse.health_authorizer
def may_see_counts() -> bool:
    """Who is logged in sees how many are connected; a real shop asks for more."""
    return session.get("user") is not None


def order_view(order: dict[str, Any], step_seconds: float) -> dict[str, Any]:
    """An order as the page shows it. Its progress depends on the time passed."""
    passed = time.time() - order["placed"]
    step = 1 + int(passed / step_seconds) if step_seconds else len(STEPS)
    step = min(step, len(STEPS))
    status, message = STEPS[step - 1]
    return {
        "orderId": order["id"],
        "item": order["item"],
        "status": status,
        "message": message,
        "step": step,
        "totalSteps": len(STEPS),
    }


def create_app() -> Flask:
    """The shop, configured from the environment."""
    app = Flask(__name__)
    app.config.update(
        # Sessions must survive a restart of the demo. A real application reads its key
        # from a secret store and has no default.
        SECRET_KEY=os.environ.get("DEMO_SECRET_KEY", "demo-only"),
        SESSION_COOKIE_NAME="shop_session",
        SESSION_COOKIE_SAMESITE="Lax",
        DEMO_STEP_SECONDS=max(0.0, float(os.environ.get("DEMO_STEP_SECONDS", "2"))),
    )
    app.config.update(environment_config())
    sse.init_app(app)
    step_seconds: float = app.config["DEMO_STEP_SECONDS"]

    @app.get("/")
    def index() -> ResponseReturnValue:
        page = render_template(
            "index.html",
            products=PRODUCTS,
            user=session.get("user"),
            is_admin=session.get("user") == ADMIN,
            priorities=("low", "medium", "high"),
            audiences={EVERYONE: "everyone", SHOPPERS: "logged-in shoppers"},
            steps=[status for status, _ in STEPS],
            sse_prefix=request.script_root
            + app.config.get("SSE_PUSH_URL_PREFIX", "/sse"),
        )
        # No external or inline scripts, so that markup in a message cannot run code.
        return page, {"Content-Security-Policy": "default-src 'self'"}

    @app.post("/login")
    def login() -> ResponseReturnValue:
        user = user_field("user")
        session.clear()
        session["user"] = user
        return redirect(url_for("index"), 303)

    @app.post("/logout")
    def logout() -> ResponseReturnValue:
        session.clear()
        return redirect(url_for("index"), 303)

    @app.get("/orders")
    def orders() -> ResponseReturnValue:
        current_user()
        return [order_view(order, step_seconds) for order in session.get("orders", [])]

    @app.post("/orders")
    def place_order() -> ResponseReturnValue:
        user = current_user()
        order = {
            "id": uuid4().hex[:12],
            "item": field("item", limit=80),
            "placed": round(time.time(), 3),
        }
        session["orders"] = [*session.get("orders", []), order][-MAX_ORDERS:]
        steps = [
            {"order_id": order["id"], "status": status, "message": message}
            for status, message in STEPS
        ]
        sse.sequence(user, EventName.ORDER_STATUS, steps, pause=step_seconds)
        return order_view(order, step_seconds), 201

    @app.post("/chat")
    def chat() -> ResponseReturnValue:
        sender = current_user()
        receiver = user_field("to")
        message = field("message", limit=MAX_TEXT)
        message_id = uuid4().hex
        receipt = chat_events.send_message(
            sender, receiver, message, message_id=message_id
        )
        return {"messageId": message_id, "connected": receipt.connected}, 201

    @app.post("/admin/announce")
    def announce() -> ResponseReturnValue:
        if current_user() != ADMIN:
            raise RequestError(403, f"Log in as {ADMIN!r} to announce something.")
        data = {
            "title": field("title", limit=80),
            "content": field("content", limit=MAX_TEXT),
            "id": uuid4().hex,
        }
        word = field("priority", limit=10, default="medium")
        if word not in ANNOUNCEMENT_PRIORITIES:
            choices = ", ".join(ANNOUNCEMENT_PRIORITIES)
            raise RequestError(400, f"Choose one of these for 'priority': {choices}.")
        data["priority"], priority = ANNOUNCEMENT_PRIORITIES[word]
        audience = field("audience", limit=20, default=EVERYONE)
        if audience == EVERYONE:
            sse.broadcast(EventName.ANNOUNCEMENT, data, priority=priority)
        elif audience == SHOPPERS:
            sse.send_to_group(SHOPPERS, EventName.ANNOUNCEMENT, data, priority=priority)
        else:
            raise RequestError(400, f"Choose {EVERYONE} or {SHOPPERS} for 'audience'.")
        return {"id": data["id"]}, 201

    @app.errorhandler(RequestError)
    def refuse(error: RequestError) -> ResponseReturnValue:
        return {"error": str(error)}, error.status

    @app.errorhandler(PayloadError)
    def refuse_payload(error: PayloadError) -> ResponseReturnValue:
        return {"error": str(error), "messages": error.messages}, 400

    @app.errorhandler(RateLimitExceeded)
    def slow_down(error: RateLimitExceeded) -> ResponseReturnValue:
        headers = {"Retry-After": str(int(error.retry_after) + 1)}
        return {"error": str(error)}, 429, headers

    @app.errorhandler(SSEPushError)
    def unavailable(error: SSEPushError) -> ResponseReturnValue:
        app.logger.error("Event not sent: %s", error)
        return {"error": "Not sent just now; try again in a moment."}, 503

    return app


app = create_app()
