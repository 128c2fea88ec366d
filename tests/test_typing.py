"""Type checkers accept correct calls of the package and reject wrong ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api


def check(tmp_path: Path, cache: Path, snippet: str) -> dict[int, str]:
    """Run ``mypy --strict`` over a snippet; return the errors by line number."""
    path = tmp_path / "snippet.py"
    path.write_text(snippet)
    output, trouble, _ = api.run(
        [
            *("--strict", "--follow-imports=silent", "--no-error-summary"),
            *("--config-file=", "--hide-error-context"),
            *("--cache-dir", str(cache), str(path)),
        ]
    )
    assert not trouble, trouble
    found: dict[int, str] = {}
    for match in re.finditer(r"snippet\.py:(\d+): error: (.*)", output):
        number = int(match[1])
        found[number] = found.get(number, "") + match[2] + "\n"
    return found


def line(snippet: str, mark: str) -> int:
    """The number of the only line that contains a mark."""
    [number] = [n for n, text in enumerate(snippet.splitlines(), 1) if mark in text]
    return number


SNIPPET = """\
from collections.abc import Mapping
from typing import Any

from flask import Flask
from sqlalchemy.orm import Session, scoped_session

from flask_sse_push import EventName, Priority, Receipt, SSEPush
from flask_sse_push.payloads import NotificationPayload, OrderUpdatePayload

sse = SSEPush(Flask("app"))


class Row:
    order_id = 1
    status = "shipped"


def good(anything: dict[str, Any], mapping: Mapping[str, object]) -> None:
    receipt: Receipt = sse.send_to_user(
        42, EventName.ORDER_UPDATE, OrderUpdatePayload(order_id=1, status="shipped")
    )
    data: NotificationPayload = {"message": "Hi", "type": "info"}
    sse.broadcast("notification", data, priority=Priority.HIGH)
    sse.send_to_user("ada", "order-update", {"orderId": "1", "status": "shipped"})
    sse.send_to_user("ada", "order-update", Row())
    sse.send_to_group("admins", "my-event", anything)
    sse.send_to_users([1, "2"], "my-event", mapping)
    sse.send_batch([("ada", data)])
    sse.send_batch([{"user_id": "ada", "message": "Hi"}], batch_id="b")
    done: bool = sse.sequence("ada", "order-status", [mapping], pause=1).wait(1)
    for row in sse.progress("ada", ["a"]):
        row.upper()
    with sse.progress("ada", total=3) as progress:
        progress.advance()
    print(receipt.id, done)


def sessions(session: Session, scoped: scoped_session[Session]) -> None:
    sse.after_commit(session).broadcast("my-event", {})
    sse.after_commit(scoped).send_to_user("ada", "my-event", {})


def bad() -> None:
    sse.broadcast("order-update", OrderUpdatePayload(order_id=1, statsu=""))  # typo
    loud: NotificationPayload = {"message": "Hi", "type": "loud"}  # no type
    sse.send_to_user("ada", "order-update", {}, prioriti=1)  # no option
    for row in sse.progress("ada", ["a"]):
        row.no_method()  # no method of a str
    sse.sequence("ada", "order-status", 3)  # no steps
    sse.after_commit("session")  # no session
"""


def test_good_calls_pass_and_bad_ones_do_not(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    # Without pytest's cache (-p no:cacheprovider) mypy starts without a cache.
    cache: pytest.Cache | None = getattr(pytestconfig, "cache", None)
    found = check(tmp_path, cache.mkdir("mypy") if cache else tmp_path, SNIPPET)
    expected = {
        "# typo": 'Extra key "statsu"',
        "# no type": '"type"',
        "# no option": '"prioriti"',
        "# no method": '"no_method"',
        "# no steps": '"sequence"',
        "# no session": '"after_commit"',
    }
    assert found.keys() == {line(SNIPPET, mark) for mark in expected}, found
    for mark, text in expected.items():
        assert text in found[line(SNIPPET, mark)]
