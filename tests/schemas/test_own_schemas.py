"""An application's schemas, derived from our base classes and from marshmallow's."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from marshmallow import EXCLUDE, INCLUDE, Schema, fields, post_load

from flask_sse_push.schemas import SchemaRegistry
from tests.schemas.refusals import refusal
from tests.schemas.seats import SeatTaken
from tests.schemas.shapes import NOW, WIRE_TIME


@pytest.mark.parametrize("schema", [SeatTaken, SeatTaken()])
def test_a_schema_of_ones_own(schema: type[Schema] | Schema) -> None:
    registry = SchemaRegistry()
    registry.register("seat-taken", schema)
    data = {
        "seat": {"row_letter": "A", "no": 3},
        "taken_on": "2030-05-01",
        "validUntil": datetime(2030, 5, 1, 12, tzinfo=UTC),
        "timestamp": NOW,
    }
    expected = {
        "seat": {"rowLetter": "A", "no": 3},
        "takenOn": "2030-05-01",
        "validUntil": NOW,
        "timestamp": NOW,
    }
    assert registry.prepare("seat-taken", data, strict=True) == expected
    taken = SimpleNamespace(
        seat=SimpleNamespace(row_letter="A", number=3),
        taken_on=date(2030, 5, 1),
        valid_until=NOW,
        timestamp=NOW,
        items=None,
    )
    assert registry.prepare("seat-taken", taken) == expected
    assert refusal(registry, "seat-taken", {"seat": {"number": 1, "no": 1}}) == {
        "seat": {
            "no": ["The key is given twice, in snake_case and in camelCase: use one."],
        }
    }


def test_none_within_an_object_is_absence_too() -> None:
    registry = SchemaRegistry()
    registry.register("seat-taken", SeatTaken)
    expected = {"seat": {"rowLetter": "A"}, "timestamp": NOW}
    seat = {"row_letter": "A", "no": None}
    for data in (
        {"seat": seat, "items": None, "taken_on": None, "timestamp": NOW},
        SimpleNamespace(
            seat=SimpleNamespace(row_letter="A", number=None), items=None, timestamp=NOW
        ),
    ):
        assert registry.prepare("seat-taken", data) == expected
    assert refusal(registry, "seat-taken", {"seat": {"row_letter": None}}) == {
        "seat": {"rowLetter": ["Field may not be null."]}
    }


class PlainSchema(Schema):
    key = fields.Integer(dump_only=True)
    user_name = fields.String(required=True)
    secret = fields.String(load_only=True)
    level = fields.Integer(load_default=1)
    greeting = fields.Function(lambda user: f"Hello {user.user_name}")


def test_a_plain_schema_keeps_its_own_ways() -> None:
    registry = SchemaRegistry()
    registry.register("joined", PlainSchema(exclude=["greeting"]))
    prepared = registry.prepare("joined", {"user_name": "ann", "secret": "x"})
    assert WIRE_TIME.fullmatch(prepared.pop("timestamp"))
    assert prepared == {"user_name": "ann", "level": 1}
    assert refusal(registry, "joined", {"userName": "ann"}) == {
        "user_name": ["Missing data for required field."],
        "userName": ["Unknown field."],
    }


def test_a_plain_schema_dumps_an_object() -> None:
    registry = SchemaRegistry()
    registry.register("joined", PlainSchema)
    user = SimpleNamespace(key=5, user_name="ann", secret="x")
    prepared = registry.prepare("joined", user)
    assert WIRE_TIME.fullmatch(prepared.pop("timestamp"))
    assert prepared == {
        "key": 5,
        "user_name": "ann",
        "greeting": "Hello ann",
        "level": 1,
    }
    user.key = "five"
    [text] = refusal(registry, "joined", user)["_schema"]
    assert text.startswith("The object cannot be dumped: ")


def test_a_plain_schema_that_loads_objects() -> None:
    class UserSchema(PlainSchema):
        @post_load
        def make(self, data: dict[str, Any], **kwargs: Any) -> SimpleNamespace:
            return SimpleNamespace(**data)

    registry = SchemaRegistry()
    registry.register("joined", UserSchema)
    prepared = registry.prepare("joined", {"user_name": "ann"})
    assert prepared["greeting"] == "Hello ann"


@pytest.mark.parametrize(("unknown", "extra"), [(INCLUDE, {"extra": 1}), (EXCLUDE, {})])
def test_the_schemas_policy_for_unknown_fields(
    unknown: Literal["include", "exclude"], extra: dict[str, int]
) -> None:
    registry = SchemaRegistry()
    schema = Schema.from_dict({"a": fields.Integer(data_key="A")})
    registry.register("e", schema(unknown=unknown))
    data = {"A": 1, "extra": 1, "timestamp": NOW}
    prepared = registry.prepare("e", data)
    timestamp = prepared.pop("timestamp")
    assert (timestamp == NOW) is (unknown == INCLUDE)
    assert WIRE_TIME.fullmatch(timestamp)
    assert prepared == {"A": 1} | extra
