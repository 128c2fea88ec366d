"""The names and schemas that a registry accepts."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any

import pytest
from marshmallow import Schema, class_registry
from marshmallow.exceptions import RegistryError

from flask_sse_push.errors import ConfigError
from flask_sse_push.names import EventName
from flask_sse_push.schemas import SchemaRegistry
from tests.schemas.refusals import refusal
from tests.schemas.seats import SeatTaken
from tests.schemas.shapes import NOW


def test_strict_refuses_names_without_schema(registry: SchemaRegistry) -> None:
    [text] = refusal(registry, "order-udpate", {}, strict=True)["_schema"]
    assert "SSE_PUSH_STRICT_EVENTS" in text
    assert "register_schema()" in text
    assert all(name in text for name in EventName)


def test_keys_without_schema_are_texts(registry: SchemaRegistry) -> None:
    assert refusal(registry, "no-schema", {"a": 1, 2: 3}) == {
        "2": ["Not a valid key: it must be a string."]
    }


@pytest.mark.parametrize(
    "schema", [dict, {}, None, "NotificationSchema", object(), Schema(many=True)]
)
def test_only_a_schema_can_be_registered(schema: Any) -> None:
    with pytest.raises(ConfigError, match="'seat-taken'"):
        SchemaRegistry().register("seat-taken", schema)


@pytest.mark.parametrize("name", ["", None, 5])
def test_only_a_name_can_be_registered(name: Any) -> None:
    with pytest.raises(ConfigError, match="name"):
        SchemaRegistry().register(name, Schema)


class Names(str, Enum):  # noqa: UP042 - its str() is "Names.SEAT"
    SEAT = "seat-taken"
    NOTE = "notification"


def test_a_name_is_taken_by_its_value() -> None:
    registry = SchemaRegistry()
    registry.register(Names.SEAT, SeatTaken)
    assert "seat" in refusal(registry, "seat-taken", {})
    assert "seat" in refusal(registry, Names.SEAT, {}, strict=True)
    assert "message" in refusal(registry, Names.NOTE, {})
    assert registry.takes(Names.NOTE, "message")
    assert not registry.takes(Names.NOTE, "text")
    with pytest.raises(ConfigError, match="'seat-taken'"):
        registry.register(Names.SEAT, Schema(many=True))


def test_registries_are_apart() -> None:
    one, other = SchemaRegistry(), SchemaRegistry()
    one.register(EventName.LIVE_UPDATE, Schema)
    assert refusal(one, "live-update", {"a": 1}) == {"a": ["Unknown field."]}
    assert other.prepare("live-update", {"a": 1})["a"] == 1


def test_built_in_schemas_do_not_shadow_an_applications_own() -> None:
    class NotificationSchema(Schema):
        pass

    assert class_registry.get_class("NotificationSchema") is NotificationSchema
    with pytest.raises(RegistryError):
        class_registry.get_class("OrderUpdateSchema")


def test_threads_share_a_registry() -> None:
    registry = SchemaRegistry()

    def work(number: int) -> list[dict[str, Any]]:
        registry.register(f"own-{number}", SeatTaken)
        seat = {"seat": {"rowLetter": str(number)}, "timestamp": NOW}
        return [
            prepared
            for n in range(200)
            for prepared in (
                registry.prepare("chat-message", message(number, n)),
                registry.prepare(f"own-{number}", seat),
            )
        ]

    def message(number: int, n: int) -> Mapping[str, Any]:
        return {"sender_id": number, "message": str(n), "messageId": n}

    with ThreadPoolExecutor(8) as pool:
        results = [*pool.map(work, range(8))]
    for number, prepared in enumerate(results):
        chat, seats = prepared[::2], prepared[1::2]
        assert [p["messageId"] for p in chat] == [str(n) for n in range(200)]
        assert {p["senderId"] for p in chat} == {str(number)}
        assert {p["seat"]["rowLetter"] for p in seats} == {str(number)}
