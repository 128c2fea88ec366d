"""The schemas by event name, and checking event data against them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError

from ..errors import ConfigError, PayloadError
from ..events import own_dump, timestamp
from ..names import EventName
from .chat import (
    ChatMessageSchema,
    ReadReceiptSchema,
    TypingIndicatorSchema,
)
from .live import (
    LiveUpdateSchema,
    ProgressUpdateSchema,
    StatusChangeSchema,
)
from .notifications import AnnouncementSchema, NotificationSchema
from .orders import (
    DeliveryNotificationSchema,
    OrderConfirmationSchema,
    OrderStatusSchema,
    OrderUpdateSchema,
    ShippingUpdateSchema,
)
from .system import (
    MaintenanceAlertSchema,
    MaintenanceSchema,
    SystemHealthSchema,
    SystemUpdateSchema,
)

_BUILT_IN: dict[EventName, type[Schema]] = {
    EventName.NOTIFICATION: NotificationSchema,
    EventName.USER_NOTIFICATION: NotificationSchema,
    EventName.ORDER_UPDATE: OrderUpdateSchema,
    EventName.ORDER_STATUS: OrderStatusSchema,
    EventName.ORDER_CONFIRMATION: OrderConfirmationSchema,
    EventName.SHIPPING_UPDATE: ShippingUpdateSchema,
    EventName.DELIVERY_NOTIFICATION: DeliveryNotificationSchema,
    EventName.CHAT_MESSAGE: ChatMessageSchema,
    EventName.TYPING_INDICATOR: TypingIndicatorSchema,
    EventName.READ_RECEIPT: ReadReceiptSchema,
    EventName.MAINTENANCE: MaintenanceSchema,
    EventName.SYSTEM_MAINTENANCE: MaintenanceSchema,
    EventName.MAINTENANCE_ALERT: MaintenanceAlertSchema,
    EventName.SYSTEM_UPDATE: SystemUpdateSchema,
    EventName.SYSTEM_HEALTH: SystemHealthSchema,
    EventName.ANNOUNCEMENT: AnnouncementSchema,
    EventName.LIVE_UPDATE: LiveUpdateSchema,
    EventName.STATUS_CHANGE: StatusChangeSchema,
    EventName.PROGRESS_UPDATE: ProgressUpdateSchema,
}


class SchemaRegistry:
    """The schemas of one application by event name, including the built-in ones.

    It is thread-safe: loading and dumping keep no state in a schema, and registering
    one is a single assignment.
    """

    def __init__(self) -> None:
        self._schemas: dict[str, Schema] = {}
        for name, schema in _BUILT_IN.items():
            self.register(name, schema)

    def register(self, name: str, schema: type[Schema] | Schema) -> None:
        """Set the schema of an event, replacing any it has.

        :param name: the event's name.
        :param schema: a :class:`PayloadSchema` or any marshmallow schema, as a class
            or an instance.
        :raises ConfigError: ``name`` is not an event name or ``schema`` not a schema.
        """
        if not (name and isinstance(name, str)):
            raise ConfigError(
                f"An event name must be a string that is not empty, not {name!r}."
            )
        # The value, if the name is a member of an enumeration.
        name = str.__str__(name)
        if isinstance(schema, type) and issubclass(schema, Schema):
            schema = schema()
        if not isinstance(schema, Schema):
            raise ConfigError(
                f"The schema of the event {name!r} cannot be {schema!r}: pass a "
                "subclass of PayloadSchema or of marshmallow.Schema, or an instance."
            )
        if schema.many:
            raise ConfigError(
                f"The schema of the event {name!r} has many=True, but the data of an "
                "event is one object: put the list into a field of it."
            )
        self._schemas[name] = schema

    def __contains__(self, name: object) -> bool:
        return name in self._schemas

    def takes(self, name: str, key: str) -> bool:
        """Whether the data of an event may have a key.

        :param key: the key in camelCase, as on the wire.
        """
        schema = self._schemas.get(name)
        if schema is None or schema.unknown == INCLUDE:
            return True
        return any(
            key == (field.data_key or field_name)
            for field_name, field in schema.load_fields.items()
        )

    def prepare(self, name: str, data: Any, *, strict: bool = False) -> dict[str, Any]:
        """Check an event's data and return the object to send.

        :param name: the event's name. If it has a registered schema, the data is
            checked against it; otherwise the data is sent unchanged.
        :param data: a mapping, or, for an event with a schema, an object whose
            attributes the schema can dump. It is never changed.
        :param strict: refuse an event that has no schema.
        :returns: a new dict with camelCase keys and a ``timestamp``. For an event
            without a schema it holds the caller's own values.
        :raises PayloadError: the data does not match the schema; ``messages`` are
            marshmallow's, by the camelCase keys.
        """
        schema = self._schemas.get(name)
        try:
            if schema is not None:
                payload = _checked(schema, data)
            elif strict:
                raise ValidationError(
                    "This event has no schema, and SSE_PUSH_STRICT_EVENTS refuses "
                    "such events. Add one with register_schema(), or use a known "
                    f"name: {', '.join(sorted(self._schemas))}."
                )
            else:
                payload = _unchecked(data)
        except ValidationError as error:
            messages: dict[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
            raise PayloadError(str.__str__(name), messages) from error
        if "timestamp" not in payload:
            payload["timestamp"] = timestamp()
        return payload


def _unchecked(data: Any) -> dict[str, Any]:
    if type(data) is not dict and not isinstance(data, Mapping):
        raise ValidationError(
            "Pass a mapping: only an event with a schema can take other objects."
        )
    payload = dict(data)
    _refuse_odd_keys(payload)
    if isinstance(payload.get("timestamp"), datetime):
        payload["timestamp"] = timestamp(payload["timestamp"])
    return payload


def _checked(schema: Schema, data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        return _from_object(schema, data)
    loaded = schema.load(data)
    payload: dict[str, Any] = schema.dump(loaded)
    if schema.unknown == INCLUDE and isinstance(loaded, dict):
        # Dumping leaves out keys that the schema does not know.
        known = {
            (field.attribute or name).partition(".")[0]
            for name, field in schema.fields.items()
        }
        for key, value in loaded.items():
            if key not in known:
                payload.setdefault(key, value)
        _refuse_odd_keys(payload)
    return payload


def _from_object(schema: Schema, data: Any) -> dict[str, Any]:
    """Dump an object, then load the result to check it and to fill in defaults."""
    try:
        dump = None if _is_plain(data) else own_dump(data)
        if dump is not None:
            data = _Dumped(dump, data)
        payload: dict[str, Any] = {} if _is_plain(data) else schema.dump(data)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValidationError(f"The object cannot be dumped: {error}") from error
    if not payload and not _has_attribute(schema, data):
        raise ValidationError(
            "Pass a mapping, or an object that has the fields as attributes: this "
            "event has a schema. Text can only be the data of events without one."
        )
    keys = {name: field.data_key or name for name, field in schema.fields.items()}
    dump_only = {keys[name] for name in schema.fields.keys() - schema.load_fields}
    loaded = schema.load({k: v for k, v in payload.items() if k not in dump_only})
    if isinstance(loaded, dict):
        for name, field in schema.dump_fields.items():
            if keys[name] not in payload and (field.attribute or name) in loaded:
                payload[keys[name]] = field.serialize(
                    name, loaded, accessor=schema.get_attribute
                )
    return payload


class _Dumped:
    """An object, seen through its own dump as far as that goes."""

    def __init__(self, dump: Mapping[str, Any], data: object) -> None:
        self._dump = dump
        self._data = data

    def __getattr__(self, name: str) -> Any:
        if name in self._dump:
            return self._dump[name]
        return getattr(self._data, name)


def _has_attribute(schema: Schema, data: Any) -> bool:
    """Whether the object has any of the fields, even if all of them are ``None``."""
    return not _is_plain(data) and any(
        hasattr(data, field.attribute or name) for name, field in schema.fields.items()
    )


def _is_plain(data: Any) -> bool:
    """Whether this is a plain value, whose methods (``str.title``) are not fields."""
    plain = (str, bytes, int, float, list, set, frozenset)
    return data is None or isinstance(data, plain) or type(data) is tuple


def _refuse_odd_keys(payload: dict[Any, Any]) -> None:
    for key in payload:
        if not isinstance(key, str):
            raise ValidationError("Not a valid key: it must be a string.", str(key))
