"""The configuration: read once from ``app.config``, checked, and then immutable."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal
from urllib.parse import urlsplit

from .errors import ConfigError

PREFIX = "SSE_PUSH_"
SCHEMES = (
    "memory",
    "redis",
    "rediss",
    "valkey",
    "valkeys",
    "redis+sentinel",
    "rediss+sentinel",
    "unix",
)

_log = logging.getLogger("flask_sse_push")
_ORIGINS = 'a list of origins such as "https://shop.example", or "*"'
_PATH = re.compile(r"(/[^/\s<>?#]+)+")
# RFC 9110, 5.1, without "*": with credentials a browser takes that for a name.
_HEADER_NAME = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]+")
_Check = Callable[[Any], Any]


class _Refused(ValueError):
    """Raised by a check; its text completes the sentence "<key> must be ..."."""


def _whole(least: int, *, optional: bool = False) -> _Check:
    def check(value: Any) -> int | None:
        if value is None and optional:
            return None
        if type(value) is not int or value < least:
            raise _Refused(
                f"a whole number, {least} or more" + (", or None" if optional else "")
            )
        return value

    return check


def _seconds(*, optional: bool = False) -> _Check:
    def check(value: Any) -> float | None:
        if value is None and optional:
            return None
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise _Refused(
                "a number of seconds above 0" + (", or None" if optional else "")
            )
        return float(value)

    return check


def _one_of(*choices: object) -> _Check:
    def check(value: Any) -> Any:
        if value not in choices or type(value) not in {type(c) for c in choices}:
            raise _Refused("one of " + ", ".join(repr(choice) for choice in choices))
        return value

    return check


def _backend_url(value: Any) -> str:
    if not isinstance(value, str) or urlsplit(value).scheme not in SCHEMES:
        raise _Refused(
            "a URL that starts with " + ", ".join(f"{s}://" for s in SCHEMES)
        )
    return value


def _url_prefix(value: Any) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise _Refused(
            "a path such as /sse, without spaces, brackets or a / at the end"
        )
    return value


def _key_prefix(value: Any) -> str:
    if not isinstance(value, str) or not value or set(value) & set("{} \r\n\0"):
        raise _Refused("text without braces, spaces or line breaks")
    return value


def _origins(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise _Refused(_ORIGINS)
    for origin in value:
        if origin == "*":
            continue
        bare = _bare_origin(origin)
        if bare is None:
            raise _Refused(_ORIGINS)
        if origin != bare:
            end = " has a slash at its end," if origin == bare + "/" else " is not one:"
            raise _Refused(
                f"a list of origins as browsers send them; {origin!r}{end} write "
                f"{bare!r}"
            )
    return tuple(value)


def _bare_origin(value: object) -> str | None:
    """The origin of a URL as a browser sends it; ``None`` if it is no such URL."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        port = parts and parts.port
    except ValueError:
        return None
    if parts is None or not (parts.scheme and parts.hostname):
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_usual = port is None or port == {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + ("" if is_usual else f":{port}")


def _header_names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(
        isinstance(name, str) and _HEADER_NAME.fullmatch(name) for name in value
    ):
        raise _Refused('a list of names of headers such as "X-Tenant"')
    return tuple(value)


def _event_names(value: Any) -> frozenset[str] | Literal["all"]:
    if value == "all":
        return "all"
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(
        isinstance(name, str) and name for name in value
    ):
        raise _Refused('"all", or a list of event names such as ["chat-message"]')
    return frozenset(str.__str__(name) for name in value)


def _rate_limit(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _Refused('text such as "5/minute", or None')
    return value


def _key(default: Any, check: _Check, *, repr: bool = True) -> Any:
    return field(default=default, metadata={"check": check}, repr=repr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The ``SSE_PUSH_*`` settings; a field is the key without prefix, in lower case."""

    backend_url: str = _key("memory://", _backend_url, repr=False)
    url_prefix: str = _key("/sse", _url_prefix)
    key_prefix: str = _key("sse_push", _key_prefix)
    heartbeat_seconds: float = _key(15.0, _seconds())
    retry_ms: int = _key(3_000, _whole(0))
    history_size: int = _key(1_000, _whole(1))
    history_seconds: float = _key(3_600.0, _seconds())
    history_bytes: int = _key(64 * 1024 * 1024, _whole(0))
    log_size: int = _key(100_000, _whole(1))
    mailbox_size: int = _key(100, _whole(0))
    mailbox_seconds: float = _key(7 * 86_400.0, _seconds())
    mailbox_events: frozenset[str] | Literal["all"] = _key("all", _event_names)
    acknowledge: str = _key("delivered", _one_of("delivered", "explicit"))
    retained_size: int = _key(100, _whole(1))
    retained_seconds: float = _key(7 * 86_400.0, _seconds())
    presence_grace_seconds: float = _key(5.0, _seconds())
    max_pending_bytes: int = _key(1024 * 1024, _whole(1))
    max_event_bytes: int = _key(64 * 1024, _whole(1))
    max_connections: int | None = _key(None, _whole(1, optional=True))
    max_connections_per_user: int | None = _key(None, _whole(1, optional=True))
    max_connection_seconds: float | None = _key(None, _seconds(optional=True))
    cors_origins: tuple[str, ...] = _key((), _origins)
    cors_headers: tuple[str, ...] = _key((), _header_names)
    rate_limit: str | None = _key(None, _rate_limit)
    outbox_size: int = _key(10_000, _whole(1))
    strict_events: bool = _key(False, _one_of(True, False))
    handoff: str = _key("auto", _one_of("auto", "off"))

    @property
    def is_memory(self) -> bool:
        """Whether the event log is in the memory of one process."""
        return self.backend_url[:7].lower() == "memory:"

    @property
    def marks_unread(self) -> bool:
        """Whether the ids of mailbox events are marked, for clients to acknowledge."""
        return self.acknowledge == "explicit" and self.mailbox_size > 0

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Config:
        """Read the ``SSE_PUSH_*`` keys of ``app.config``.

        :raises ConfigError: a value is wrong; the message names its key.
        """
        values = {}
        for entry in fields(cls):
            key = PREFIX + entry.name.upper()
            if key in mapping:
                try:
                    values[entry.name] = entry.metadata["check"](mapping[key])
                except _Refused as error:
                    # A URL may contain a password, so no message shows it.
                    is_secret = entry.name == "backend_url"
                    but = "" if is_secret else f", not {mapping[key]!r}"
                    raise ConfigError(f"{key} must be {error}{but}.") from None
        for key, advice in cls.unknown_keys(mapping):
            _log.warning("%s is not a setting of flask_sse_push: %s", key, advice)
        config = cls(**values)
        if config.max_event_bytes > config.max_pending_bytes:
            raise ConfigError(
                "SSE_PUSH_MAX_PENDING_BYTES must be at least SSE_PUSH_MAX_EVENT_BYTES "
                f"({config.max_event_bytes}), not {config.max_pending_bytes}: "
                "otherwise one large event could close the connection it is sent to."
            )
        return config

    @classmethod
    def unknown_keys(cls, mapping: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The ``SSE_PUSH_*`` keys that are not settings, each with advice."""
        known = [entry.name.upper() for entry in fields(cls)]
        found = []
        for key in mapping:
            if (
                key.startswith(PREFIX)
                and (rest := key.removeprefix(PREFIX)) not in known
            ):
                nearest = get_close_matches(rest.upper(), known, 1)
                advice = (
                    f"did you mean {PREFIX}{nearest[0]}?"
                    if nearest
                    else "check the spelling, or remove it."
                )
                found.append((key, advice))
        return found
