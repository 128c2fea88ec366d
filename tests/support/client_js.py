"""Pages that use client.js, and the events they get."""

from __future__ import annotations

import json
from importlib.resources import files

from tests.support.browser import Page

CLIENT = files("flask_sse_push").joinpath("client/client.js").read_text()


def event(name: str, data: object, id: str | None = None) -> str:
    """An event's text on the wire."""
    head = "" if id is None else f"id: {id}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"


def connect(
    page: Page,
    options: str = "{}",
    *names: str,
    url: str = '"/sse/stream"',
    module: str = "/sse/client.js",
) -> None:
    """Connect, and record all states and the data of the events of these names.

    :param options: JavaScript, as ``url``, which may be a function.
    :param module: where client.js is.
    """
    page.run(
        f"""import({json.dumps(module)}).then(({{ connect }}) => {{
          window.states = [];
          window.got = [];
          window.push = connect({url}, {options});
          push.onState((state) => states.push(state));
          for (const name of {json.dumps(names)})
            push.on(name, (data) => got.push(data));
        }})"""
    )


def wait_for(page: Page, expression: str, expected: object) -> None:
    """Wait until an expression of the page has a value."""
    page.wait(expression, until=lambda value: value == expected)
