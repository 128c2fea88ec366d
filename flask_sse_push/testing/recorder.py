"""Records the events that an application sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from flask import Flask

from ..application.state import state_of
from ..events import ALL, group_channel, user_channel
from ..schemas.base import camel_case
from ..sending.receipt import Receipt
from ..signals import event_published


@dataclass(frozen=True, slots=True)
class SentEvent:
    """An event that was sent.

    :param channel: ``"all"``, ``"user:<id>"`` or ``"group:<name>"``.
    :param data: the data as clients receive it, with camelCase keys and ``timestamp``;
        the text itself if it is not JSON.
    """

    channel: str
    name: str
    data: Any
    receipt: Receipt

    def __str__(self) -> str:
        return f"{self.name!r} to {self.channel}: {pformat(self.data)}"


class SSERecorder:
    """Records the events that an application sends in this process.

    Nothing is replaced: events are checked and delivered as usual. Events that were
    refused are not recorded. Use it in a ``with`` block, or as the pytest fixture
    ``sse_recorder``; both push an application context.

    The assertions take the values that the data must have as keywords, in snake_case
    or camelCase. Other keys of the data, and of mappings in it, do not matter. A value
    may be any object that can be compared, such as ``unittest.mock.ANY``.

    :param app: an application that was passed to ``SSEPush.init_app``.
    :raises ConfigError: it was not.
    """

    def __init__(self, app: Flask) -> None:
        state_of(app)
        self._app = app
        self._context = app.app_context()
        #: All events that were sent, in order.
        self.events: list[SentEvent] = []

    def __enter__(self) -> SSERecorder:
        # The tested code can then send outside of a request, even if its SSEPush is set
        # up for several applications.
        self._context.push()
        event_published.connect(self._record, sender=self._app)
        return self

    def __exit__(self, *error: object) -> None:
        event_published.disconnect(self._record, sender=self._app)
        self._context.pop()

    def _record(
        self, app: Flask, *, channel: str, event: str, receipt: Receipt, data: str
    ) -> None:
        try:
            payload = json.loads(data)
        except ValueError:
            payload = data
        self.events.append(SentEvent(channel, event, payload, receipt))

    def clear(self) -> None:
        """Remove all events recorded so far."""
        self.events.clear()

    def sent_to(self, user_id: object, event: str | None = None) -> list[SentEvent]:
        """The events that were sent to a user, in order.

        :param event: return only events of this name.
        """
        return self._on(user_channel(user_id), event)

    def to_group(self, group: str, event: str | None = None) -> list[SentEvent]:
        """The events that were sent to a group, in order."""
        return self._on(group_channel(group), event)

    def broadcasts(self, event: str | None = None) -> list[SentEvent]:
        """The events that were sent to everybody, in order."""
        return self._on(ALL, event)

    def assert_sent_to(
        self, user_id: object, event: str, /, **subset: object
    ) -> SentEvent:
        """Check that a user was sent an event with these values; return the newest.

        :raises AssertionError: no such event was sent; the message shows those that
            were.
        """
        return self._require(user_channel(user_id), event, subset)

    def assert_sent_to_group(
        self, group: str, event: str, /, **subset: object
    ) -> SentEvent:
        """Check that a group was sent an event with these values."""
        return self._require(group_channel(group), event, subset)

    def assert_broadcast(self, event: str, /, **subset: object) -> SentEvent:
        """Check that everybody was sent an event with these values."""
        return self._require(ALL, event, subset)

    def assert_nothing_sent_to(self, user_id: object, event: str | None = None) -> None:
        """Check that no event was sent to a user; broadcasts do not count.

        :param event: check only events of this name.
        :raises AssertionError: an event was sent; the message shows it.
        """
        self._refuse(self.sent_to(user_id, event))

    def assert_nothing_sent(self) -> None:
        """Check that no event was sent at all."""
        self._refuse(self.events)

    def _on(self, channel: str, event: str | None) -> list[SentEvent]:
        return [
            sent
            for sent in self.events
            if sent.channel == channel and event in (None, sent.name)
        ]

    def _require(
        self, channel: str, event: str, subset: dict[str, object]
    ) -> SentEvent:
        candidates = self._on(channel, event)
        lines = [f"{str(event)!r} was not sent to {channel}"]
        if subset:
            lines[0] += f" with {subset}"
        for sent in reversed(candidates):
            differences = list(_differences(subset, sent.data))
            if not differences:
                return sent
            lines += [f"  {sent}", *(f"    {difference}" for difference in differences)]
        if not candidates:
            lines += [f"  this was sent: {sent}" for sent in self.events]
            if not self.events:
                lines.append("  no event was sent at all")
        raise AssertionError("\n".join(lines))

    def _refuse(self, sent: list[SentEvent]) -> None:
        if sent:
            lines = [f"  {event}" for event in sent]
            raise AssertionError(
                "\n".join(["No event should have been sent, but these were:", *lines])
            )


def _differences(
    expected: Mapping[str, object], actual: Any, path: str = ""
) -> list[str]:
    """Describe each value of ``expected`` that ``actual`` does not have, one a line."""
    found: list[str] = []
    if expected and not isinstance(actual, Mapping):
        return [f"the data has no keys: {actual!r}"]
    for key, value in expected.items():
        name = key if key in actual else camel_case(key)
        if name not in actual:
            found.append(f"{path}{name}: expected {value!r}, but it is missing")
        elif isinstance(value, Mapping) and isinstance(actual[name], Mapping):
            found += _differences(value, actual[name], f"{path}{name}.")
        elif value != actual[name]:
            found.append(f"{path}{name}: expected {value!r}, not {actual[name]!r}")
    return found
