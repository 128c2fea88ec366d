"""What a stream opens with, and a client that is cut off anywhere in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, request

from flask_sse_push import SSEPush

_NAME = re.compile(rb"^event: (.*)$", re.MULTILINE)
_ID = re.compile(rb"^id: (.*)$", re.MULTILINE)
_NUMBER = re.compile(rb'"n":(\d+)')
BETWEEN = 99


def a_new_page(sse: SSEPush) -> None:
    sse.broadcast("x", {"n": 1})


def a_mailbox(sse: SSEPush) -> None:
    sse.send_to_user("2", "x", {"n": 1})
    sse.broadcast("x", {"n": 50})
    sse.send_to_user("2", "x", {"n": 2})
    sse.send_to_user("2", "x", {"n": 3})


def a_mailbox_that_was_too_small(sse: SSEPush) -> None:
    for number in (1, 2, 3, 4):
        sse.send_to_user("2", "x", {"n": number})


def a_retained_event(sse: SSEPush) -> None:
    sse.broadcast("x", {"n": 1}, retain="x")
    sse.broadcast("x", {"n": 2}, retain="y")
    sse.broadcast("x", {"n": 50})


def missed_events(sse: SSEPush) -> str | None:
    seen = sse.broadcast("x", {"n": 50})
    for number in (1, 2):
        sse.broadcast("x", {"n": number})
    return seen.id


def nothing_missed(sse: SSEPush) -> str | None:
    return sse.broadcast("x", {"n": 1}).id


def too_many_missed_events(sse: SSEPush) -> str | None:
    seen = sse.broadcast("x", {"n": 50})
    for number in (1, 2, 3, 4, 5):
        sse.send_to_user("2", "x", {"n": number}, mailbox=False)
    return seen.id


def too_many_events_of_a_mailbox(sse: SSEPush) -> str | None:
    seen = sse.send_to_user("2", "x", {"n": 50})
    for number in (1, 2, 3, 4):
        sse.send_to_user("2", "x", {"n": number})
    return seen.id


def an_unknown_id(sse: SSEPush) -> str:
    sse.broadcast("x", {"n": 50})
    return "of-some-other-log"


def an_id_of_an_earlier_process(sse: SSEPush) -> str:
    sse.broadcast("x", {"n": 1})
    return "1-0"


CASES: tuple[Callable[[SSEPush], str | None], ...] = (
    a_new_page,
    a_mailbox,
    a_mailbox_that_was_too_small,
    a_retained_event,
    missed_events,
    nothing_missed,
    too_many_missed_events,
    too_many_events_of_a_mailbox,
    an_unknown_id,
    an_id_of_an_earlier_process,
)


@dataclass
class Page:
    """A client, which keeps an id only with data, as Firefox does."""

    app: Flask
    last_id: str | None = None
    names: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def open(self) -> tuple[Any, list[bytes]]:
        """Open a stream; returns the response and the blocks that it opens with."""
        headers = {} if self.last_id is None else {"Last-Event-ID": self.last_id}
        path = "/sse/stream?user=2"
        response = self.app.test_client().get(path, headers=headers, buffered=False)
        first: Any = next(iter(response.response))
        assert first.endswith(b"\n\n")
        return response, first[:-2].split(b"\n\n")

    def receive(self, blocks: list[bytes]) -> None:
        for block in blocks:
            names, ids = _NAME.findall(block), _ID.findall(block)
            if b"\ndata: " in block:
                self.names += [name.decode() for name in names]
                self.numbers += [int(number) for number in _NUMBER.findall(block)]
                if ids:
                    self.last_id = ids[-1].decode()


def make(case: Callable[[SSEPush], str | None]) -> tuple[Page, SSEPush]:
    app = Flask("tests")
    app.config.update(
        TESTING=True,
        SSE_PUSH_HISTORY_SIZE=3 if "too_many" in case.__name__ else 100,
        SSE_PUSH_MAILBOX_SIZE=2 if "too_small" in case.__name__ else 100,
    )
    sse = SSEPush(app)
    sse.user_loader(lambda: request.args["user"])
    with app.app_context():
        return Page(app, case(sse)), sse


@pytest.mark.parametrize("case", CASES)
def test_a_stream_opens_with_the_cursor(
    case: Callable[[SSEPush], str | None],
) -> None:
    page, _ = make(case)
    response, blocks = page.open()
    response.close()
    opening = rb"retry: 3000\nid: \d+-\d+\nevent: sse-push-open\ndata: {}"
    assert re.fullmatch(opening, blocks[0])
    page.receive(blocks[1:])
    assert 50 not in page.numbers, "an event that was sent before the page came"


@pytest.mark.parametrize("case", CASES)
def test_a_client_that_is_cut_off_in_the_opening_misses_nothing(
    case: Callable[[SSEPush], str | None],
) -> None:
    cut = 0
    while True:
        cut += 1
        page, sse = make(case)
        response, blocks = page.open()
        if cut > len(blocks):
            break
        whole = Page(page.app)
        whole.receive(blocks)
        page.receive(blocks[:cut])
        response.close()
        with page.app.app_context():
            sse.broadcast("x", {"n": BETWEEN})
        response, blocks = page.open()
        page.receive(blocks)
        response.close()
        assert {*whole.numbers, BETWEEN} <= {*page.numbers}
        assert {*whole.names} <= {*page.names}
