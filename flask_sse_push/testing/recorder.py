"""Records what an application sends."""

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
    :param data: the payload as clients get it: camelCase keys, ``timestamp`` and all;
        the text itself where it is not JSON.
    """

    channel: str
    name: str
    data: Any
    receipt: Receipt

    def __str__(self) -> str:
        return f"{self.name!r} to {self.channel}: {pformat(self.data)}"


class SSERecorder:
    """Keeps what an application sends, from any request, thread or task of the process.

    Nothing is replaced: events are checked and delivered as ever. What was refused was
    not sent and is not here. Use it with ``with``, or the pytest fixture
    ``sse_recorder``; the application is current meanwhile.

    The assertions take the values that a payload must have, as keywords, in snake_case
    or camelCase; what else the payload has does not matter, nor what else a mapping in
    it has. A value may be anything that compares, such as ``unittest.mock.ANY``.

    :param app: an application that an ``SSEPush`` was set up for.
    :raises ConfigError: it was not.
    """

    def __init__(self, app: Flask) -> None:
        state_of(app)
        self._app = app
        self._context = app.app_context()
        #: All that was sent, in order.
        self.events: list[SentEvent] = []

    def __enter__(self) -> SSERecorder:
        # So that code under test can send with no request, whichever application an
        # SSEPush was set up for before.
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
        """Forget what was sent so far."""
        self.events.clear()

    def sent_to(self, user_id: object, event: str | None = None) -> list[SentEvent]:
        """What was sent to a user, in order.

        :param event: only events of this name.
        """
        return self._on(user_channel(user_id), event)

    def to_group(self, group: str, event: str | None = None) -> list[SentEvent]:
        """What was sent to a group, in order."""
        return self._on(group_channel(group), event)

    def broadcasts(self, event: str | None = None) -> list[SentEvent]:
        """What was sent to everybody, in order."""
        return self._on(ALL, event)

    def assert_sent_to(
        self, user_id: object, event: str, /, **subset: object
    ) -> SentEvent:
        """Require that a user was sent an event with these values; return the newest.

        :raises AssertionError: it was not; the text shows what was sent instead.
        """
        return self._require(user_channel(user_id), event, subset)

    def assert_sent_to_group(
        self, group: str, event: str, /, **subset: object
    ) -> SentEvent:
        """Require that a group was sent an event with these values."""
        return self._require(group_channel(group), event, subset)

    def assert_broadcast(self, event: str, /, **subset: object) -> SentEvent:
        """Require that everybody was sent an event with these values."""
        return self._require(ALL, event, subset)

    def assert_nothing_sent_to(self, user_id: object, event: str | None = None) -> None:
        """Require that a user was sent nothing of their own; broadcasts do not count.

        :param event: only events of this name matter.
        :raises AssertionError: something was; the text shows it.
        """
        self._refuse(self.sent_to(user_id, event))

    def assert_nothing_sent(self) -> None:
        """Require that nothing was sent to anybody."""
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
            lines += [f"  sent was {sent}" for sent in self.events]
            if not self.events:
                lines.append("  nothing was sent")
        raise AssertionError("\n".join(lines))

    def _refuse(self, sent: list[SentEvent]) -> None:
        if sent:
            lines = [f"  {event}" for event in sent]
            raise AssertionError(
                "\n".join(["Nothing was to be sent, but was:", *lines])
            )


def _differences(
    expected: Mapping[str, object], actual: Any, path: str = ""
) -> list[str]:
    """What of ``expected`` is not in ``actual``, a line each."""
    found: list[str] = []
    if expected and not isinstance(actual, Mapping):
        return [f"the data has no keys: {actual!r}"]
    for key, value in expected.items():
        name = key if key in actual else camel_case(key)
        if name not in actual:
            found.append(f"{path}{name}: expected {value!r}, but is missing")
        elif isinstance(value, Mapping) and isinstance(actual[name], Mapping):
            found += _differences(value, actual[name], f"{path}{name}.")
        elif value != actual[name]:
            found.append(f"{path}{name}: expected {value!r}, but is {actual[name]!r}")
    return found
