"""What may be sent as data, by the verbs: text, HTML, objects, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from itertools import islice
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

import attrs
import pytest
from flask import Flask
from flask.json.provider import DefaultJSONProvider, JSONProvider
from markupsafe import Markup
from pydantic import BaseModel, field_serializer

from flask_sse_push import PayloadError, SSEPush
from flask_sse_push.signals import event_published
from flask_sse_push.testing import SSERecorder, StreamReader
from tests.schemas.shapes import WIRE_TIME

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def recorder(app: Flask, sse: SSEPush) -> Iterator[SSERecorder]:
    with SSERecorder(app) as recorder:
        yield recorder


def sent(sse: SSEPush, recorder: SSERecorder, data: object) -> Any:
    """The data of an event without a schema, as clients decode it."""
    sse.broadcast("x", data)
    return recorder.broadcasts("x")[-1].data


def refusal(sse: SSEPush, data: object) -> dict[str, Any]:
    """The messages of the error."""
    with pytest.raises(PayloadError) as caught:
        sse.broadcast("x", data)
    for path, texts in caught.value.messages.items():
        assert path in str(caught.value)
        assert all(text in str(caught.value) for text in texts)
    return caught.value.messages


class Html:
    """A component, as template libraries have them."""

    def __html__(self) -> Markup:
        return Markup("<b>bold</b>")


class HtmlList(list[str]):
    """Has both forms: the HTML is the one that goes out."""

    def __html__(self) -> str:
        return "\n".join(f"<li>{item}</li>" for item in self)


class Word(StrEnum):
    YES = "yes"


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ("plain", ["plain"]),
        ("", [""]),
        ("a\nb\r\nc\rd", ["a", "b", "c", "d"]),
        ("a\n\n", ["a", "", ""]),
        ("ends here\u2028not here", ["ends here\u2028not here"]),
        ("\n\nevent: admin\nid: 1", ["", "", "event: admin", "id: 1"]),
        (Markup("<p>{}</p>").format("a<b"), ["<p>a&lt;b</p>"]),
        (Html(), ["<b>bold</b>"]),
        (HtmlList(["a", "b"]), ["<li>a</li>", "<li>b</li>"]),
        (Word.YES, ["yes"]),
    ],
)
def test_text_and_html_go_out_as_they_are(
    app: Flask, sse: SSEPush, data: object, lines: list[str]
) -> None:
    receipt = sse.broadcast("x", data)
    response = app.test_client().get(
        "/sse/stream", headers={"Last-Event-ID": "1-0"}, buffered=False
    )
    [chunk] = islice(cast("Iterable[bytes]", response.response), 1)
    response.close()
    written = "".join(f"data: {line}\n" for line in lines)
    assert f"id: {receipt.id}\nevent: x\n{written}\n" in chunk.decode()


def test_a_reader_gets_the_text(app: Flask, sse: SSEPush) -> None:
    with StreamReader(app.test_client()) as stream:
        sse.broadcast("x", "<li>one</li>\n<li>two</li>")
        assert stream.next().data == "<li>one</li>\n<li>two</li>"


def test_an_id_keeps_text_from_arriving_twice(sse: SSEPush) -> None:
    first = sse.broadcast("x", "text", id="note-1")
    assert sse.broadcast("x", "text", id="note-1").id == first.id
    assert sse.health()["historyEvents"] == 1


@pytest.mark.parametrize("data", ["text", Markup("<p>"), Html(), ["a"], 5, None])
def test_an_event_with_a_schema_demands_its_payload(sse: SSEPush, data: object) -> None:
    with pytest.raises(PayloadError, match="this event has a schema"):
        sse.broadcast("notification", data)
    assert sse.health()["historyEvents"] == 0


def test_strict_events_refuse_text_under_unknown_names() -> None:
    app = Flask("strict")
    app.config["SSE_PUSH_STRICT_EVENTS"] = True
    strict = SSEPush(app)
    with app.app_context(), pytest.raises(PayloadError, match="STRICT_EVENTS"):
        strict.broadcast("x", "text")


def test_text_has_the_limit_of_all_data(sse: SSEPush) -> None:
    [text] = refusal(sse, "ä" * 40_000)["_schema"]
    assert text.startswith("The data has 80000 bytes")


@dataclass
class Point:
    x: int
    when: date


@attrs.define
class Line:
    start: Point
    length: float = 1.5


class Item(BaseModel):
    price: Decimal
    sold_at: datetime

    @field_serializer("sold_at")
    def dump_time(self, moment: datetime) -> int:
        return int(moment.timestamp())


class Colour(Enum):
    RED = "red"


NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
HTTP_NOON = "Wed, 01 May 2030 12:00:00 GMT"
HTTP_DAY = "Wed, 01 May 2030 00:00:00 GMT"
POINT = Point(1, date(2030, 5, 1))
WIRE_POINT = {"x": 1, "when": HTTP_DAY}
ITEM = Item(price=Decimal("1.10"), sold_at=NOON)
WIRE_ITEM = {"price": "1.10", "sold_at": int(NOON.timestamp())}


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (NOON, HTTP_NOON),
        (date(2030, 5, 1), HTTP_DAY),
        (UUID(int=1), str(UUID(int=1))),
        (Decimal("1.10"), "1.10"),
        (Html(), "<b>bold</b>"),
        (POINT, WIRE_POINT),
        (Line(POINT), {"start": WIRE_POINT, "length": 1.5}),
        (ITEM, WIRE_ITEM),
        ([ITEM, (POINT,)], [WIRE_ITEM, [WIRE_POINT]]),
        (Colour.RED, "red"),
        (MappingProxyType({"a": 1}), {"a": 1}),
    ],
)
def test_values_within_a_mapping(
    app: Flask, sse: SSEPush, recorder: SSERecorder, value: object, wire: object
) -> None:
    assert sent(sse, recorder, {"a": {"b": [value]}})["a"] == {"b": [wire]}


@pytest.mark.parametrize(
    ("data", "wire"),
    [
        (POINT, WIRE_POINT),
        (Line(POINT), {"start": WIRE_POINT, "length": 1.5}),
        (ITEM, WIRE_ITEM),
        (MappingProxyType({"total_steps": ITEM}), {"total_steps": WIRE_ITEM}),
    ],
)
def test_an_object_is_a_payload_with_a_timestamp(
    sse: SSEPush, recorder: SSERecorder, data: object, wire: dict[str, Any]
) -> None:
    payload = sent(sse, recorder, data)
    assert WIRE_TIME.fullmatch(payload.pop("timestamp"))
    assert payload == wire


@pytest.mark.parametrize(
    ("data", "wire"),
    [
        ([ITEM, 1], [WIRE_ITEM, 1]),
        ((1, "a"), [1, "a"]),
        (5, 5),
        (1.5, 1.5),
        (True, True),
        (None, None),
        (UUID(int=1), str(UUID(int=1))),
        (NOON, HTTP_NOON),
    ],
)
def test_other_values_go_out_as_json_alone(
    sse: SSEPush, recorder: SSERecorder, data: object, wire: object
) -> None:
    assert sent(sse, recorder, data) == wire


def test_a_datetime_as_the_timestamp_has_the_timestamps_form(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    payload = sent(sse, recorder, {"timestamp": NOON})
    assert payload == {"timestamp": "2030-05-01T12:00:00.000Z"}


def test_models_whose_event_has_a_schema_are_checked_by_their_dumps(
    sse: SSEPush, recorder: SSERecorder
) -> None:
    class Order(BaseModel):
        id_within: int
        status: Colour
        internal: str = "not the schema's business"

        @property
        def order_id(self) -> int:
            return self.id_within

    @attrs.define
    class OtherOrder:
        order_id: int
        status: str

    sse.broadcast("order-update", Order(id_within=7, status=Colour.RED))
    recorder.assert_broadcast("order-update", orderId="7", status="red")
    sse.broadcast("order-update", OtherOrder(8, "sent"))
    payload = recorder.assert_broadcast("order-update", orderId="8").data
    assert payload.keys() == {"orderId", "status", "timestamp"}
    with pytest.raises(PayloadError):
        sse.broadcast("order-update", OtherOrder(8, None))  # type: ignore[arg-type]


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


class ShopProvider(DefaultJSONProvider):
    """Says by ``default`` what values become."""

    @staticmethod
    def default(o: Any) -> Any:
        if isinstance(o, Money):
            return {"cents": o.cents}
        if isinstance(o, date):
            return o.isoformat()
        if isinstance(o, Item):
            return "an item"
        return DefaultJSONProvider.default(o)


class OwnProvider(JSONProvider):
    """Encodes all by itself, as one over orjson does."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return json.dumps(
            obj,
            default=self._default,
            sort_keys=True,
            indent=1,
            ensure_ascii=False,
        )

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return json.loads(s)

    @staticmethod
    def _default(value: object) -> object:
        if isinstance(value, Money):
            return {"cents": value.cents}
        raise TypeError(type(value).__name__)


def test_the_applications_provider_says_what_values_become(
    app: Flask, sse: SSEPush, recorder: SSERecorder
) -> None:
    app.json = ShopProvider(app)
    data = {"price": Money(5), "when": NOON, "point": POINT, "item": ITEM}
    payload = sent(sse, recorder, data)
    assert payload["price"] == {"cents": 5}
    assert payload["when"] == NOON.isoformat()
    assert payload["point"]["when"] == "2030-05-01"
    assert payload["item"] == "an item"
    assert sent(sse, recorder, Money(6))["cents"] == 6


@pytest.mark.parametrize("kind", [DefaultJSONProvider, OwnProvider])
def test_json_has_no_character_at_which_only_some_clients_end_a_line(
    app: Flask, sse: SSEPush, kind: type[JSONProvider]
) -> None:
    app.json = kind(app)
    value = "a\x85\u2028\u2029\\\u2028"
    written: list[str] = []

    def note(app: Flask, *, data: str, **said: object) -> None:
        written.append(data)

    with event_published.connected_to(note, sender=app):
        sse.broadcast("x", {value: [value]})
    [text] = written
    assert not set(text) & set("\x85\u2028\u2029")
    assert json.loads(text)[value] == [value]


def test_a_provider_that_encodes_by_itself_is_used(
    app: Flask, sse: SSEPush, recorder: SSERecorder
) -> None:
    app.json = OwnProvider(app)
    told = sse.broadcast("x", {"b": Money(5), "a": "Infinity, or NaN"})
    assert recorder.events[-1].data["b"] == {"cents": 5}
    with StreamReader(app.test_client(), last_event_id="1-0") as stream:
        stream.next()  # the gap
        event = stream.next()
    assert event.id == told.id
    assert list(event.data) == ["a", "b", "timestamp"]
    assert sent(sse, recorder, Money(6))["cents"] == 6
    # What it does not know has its own dump.
    items = [ITEM, Line(Money(2))]  # type: ignore[arg-type]
    payload = sent(sse, recorder, {"items": items, "price": Money(1)})
    assert payload["items"] == [WIRE_ITEM, {"start": {"cents": 2}, "length": 1.5}]
    assert payload["price"] == {"cents": 1}
    assert refusal(sse, {"a": [float("nan")]}).keys() == {"a[0]"}
    assert refusal(sse, {"a": object()}).keys() == {"a"}


def test_each_application_has_its_own_provider(app: Flask, sse: SSEPush) -> None:
    other = Flask("other")
    other.json = ShopProvider(other)
    sse.init_app(other)
    for each, cents in ((app, None), (other, 5)):
        with each.app_context(), SSERecorder(each) as recorder:
            if cents is None:
                assert refusal(sse, {"a": Money(5)}).keys() == {"a"}
            else:
                assert sent(sse, recorder, {"a": Money(5)})["a"] == {"cents": cents}


class Node:
    """Dumps itself to what holds it again."""


LOOP: list[object] = []
LOOP.append({"again": LOOP})


@pytest.mark.parametrize(
    ("data", "path", "says"),
    [
        ({"items": [{}, {}, {"price": object()}]}, "items[2].price", "object has no"),
        (
            {"items": [{}, {"price": float("nan")}]},
            "items[1].price",
            "float nan has no",
        ),
        ({"a": float("inf")}, "a", "float inf has no"),
        ({"a": Line(POINT, -float("inf"))}, "a.length", "float -inf has no"),
        ({"a": ({1, 2},)}, "a[0]", "sorted(value)"),
        ({"a b": {"c": b"x"}}, "['a b'].c", "value.decode()"),
        ({"a": {("b", "c"): 1}}, "a", "tuple. Use text as a key"),
        ({"a": {float("nan"): 1}}, "a", "Use text as a key"),
        ({"a": (n for n in "b")}, "a", "list(value)"),
        ({"a": Node}, "a", "a value of type type"),
        ({"a": 10**5000}, "a", "pass it as text"),
        ({"a": LOOP}, "a[0].again", "contains itself"),
        ([1, object()], "[1]", "object has no JSON form"),
        (object(), "_schema", "object has no JSON form"),
        ({1, 2}, "_schema", "sorted(value)"),
        (b"x", "_schema", "value.decode()"),
        (float("nan"), "_schema", "float nan has no"),
        (Line({1}), "start", "sorted(value)"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_sent_is_named(
    sse: SSEPush, data: object, path: str, says: str
) -> None:
    [(found, [text])] = refusal(sse, data).items()
    assert found == path
    assert says.lower() in text.lower()
    assert sse.health()["historyEvents"] == 0


def test_a_model_that_cannot_dump_itself_is_named(sse: SSEPush) -> None:
    class Holder(BaseModel, arbitrary_types_allowed=True):
        node: Node

    [(path, [text])] = refusal(sse, {"a": [Holder(node=Node())]}).items()
    assert path == "a[0]"
    assert "Holder has no JSON form" in text
    assert "Node" in text
    assert refusal(sse, Holder(node=Node())).keys() == {"_schema"}
    with pytest.raises(PayloadError, match="cannot be dumped"):
        sse.broadcast("notification", Holder(node=Node()))
