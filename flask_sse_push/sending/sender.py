"""The steps of sending an event: check, rate limit, append, announce."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..config import Config
from ..errors import EventError, PayloadError, SSEPushError
from ..events import (
    RESERVED_PREFIX,
    Channel,
    Event,
    is_user_channel,
    plain,
)
from ..names import Priority
from ..schemas import SchemaRegistry
from ..signals import event_failed, event_published
from .data import Serializer
from .options import SendOptions
from .ratelimit import RateLimiter
from .receipt import Receipt

# The longest wait, in seconds, for the events that precede a control event.
_PLACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event that has been checked and not yet sent.

    :param keeps_place: whether it keeps its place in the order of sending, regardless
        of the priorities of other events.
    """

    event: Event
    options: SendOptions
    keeps_place: bool = False


#: Takes checked events and returns a receipt for each, in order. It raises
#: ``OutboxFull`` or ``BackendError`` for the first that it refuses.
Append = Callable[[Sequence[Outgoing]], Iterable[Receipt]]


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends events for every verb, signal, sequence and progress.

    :param schemas: the schemas by event name.
    :param serializer: converts data into text.
    :param limiter: counts events against their rate limits.
    :param append: writes to the event log: through the outbox in the extension,
        directly in a ``Publisher``.
    :param announce: sends a signal of :mod:`flask_sse_push.signals`; takes the signal
        and its keywords.
    :param finish: replaces the last step, :meth:`append_all`, for example to hold the
        events back until a transaction commits.
    """

    config: Config
    schemas: SchemaRegistry
    serializer: Serializer
    limiter: RateLimiter
    append: Append
    announce: Callable[..., None]
    finish: Append | None = None

    def finishing_with(self, finish: Append) -> Sender:
        """The same sender with another last step."""
        return replace(self, finish=finish)

    def send(
        self,
        channels: Sequence[Channel],
        name: str,
        data: object,
        options: SendOptions,
    ) -> list[Receipt]:
        """Send an event to each of the channels.

        :raises PayloadError: the data does not match the schema; nothing was sent.
        :raises EventError: the event is not allowed; nothing was sent.
        :raises RateLimitExceeded: a rate limit refuses an event; nothing was sent.
        :raises OutboxFull: the outbox is full; the events before it was full were sent.
        :raises BackendError: the backend cannot be reached, and there is no outbox.
        """
        return self.send_checked(
            [self.check(channel, name, data, options) for channel in channels]
        )

    def send_checked(self, outgoing: Sequence[Outgoing]) -> list[Receipt]:
        """Send events that have been checked; the errors are those of :meth:`send`."""
        for one in outgoing:
            self.admit(one)
        finish = self.finish or self.append_all
        return list(finish(outgoing))

    def send_control(self, event: Event, *, keeps_place: bool = False) -> None:
        """Append a control event, without rate limits and signals.

        :param keeps_place: whether it must come after all events that this process has
            sent earlier, and before those that it sends later. Then this call waits up
            to a second for the events in the outbox.
        :raises OutboxFull: the outbox is full.
        :raises BackendError: the backend cannot be reached.
        """
        options = SendOptions(priority=Priority.URGENT)
        [receipt] = self.append([Outgoing(event, options, keeps_place)])
        if keeps_place:
            receipt.wait(_PLACE_SECONDS)

    def check(
        self, channel: Channel, name: str, data: object, options: SendOptions
    ) -> Outgoing:
        """Check everything about an event without sending it.

        :raises PayloadError: the data does not match the schema.
        :raises EventError: the event is not allowed.
        """
        try:
            return Outgoing(self._make_event(channel, name, data, options), options)
        except SSEPushError as error:
            self.announce(event_failed, channel=channel, event=name, error=error)
            raise

    def admit(self, outgoing: Outgoing) -> None:
        """Count an event against its rate limit.

        :raises RateLimitExceeded: the limit has been reached.
        """
        event = outgoing.event
        try:
            self.limiter.admit(event.channel, event.name, outgoing.options.rate_limit)
        except SSEPushError as error:
            self.announce_failed(event, error)
            raise

    def append_all(self, outgoing: Sequence[Outgoing]) -> Iterator[Receipt]:
        """Append events that have been admitted, and announce each.

        :raises OutboxFull: the outbox is full.
        :raises BackendError: the backend cannot be reached.
        """
        receipts = iter(self.append(outgoing))
        for one in outgoing:
            event = one.event
            try:
                receipt = next(receipts)
            except SSEPushError as error:
                self.announce_failed(event, error)
                raise
            self.announce(
                event_published,
                channel=event.channel,
                event=event.name,
                receipt=receipt,
                data=event.data,
            )
            yield receipt

    def announce_failed(self, event: Event, error: Exception) -> None:
        """Announce that an event was not sent."""
        self.announce(
            event_failed, channel=event.channel, event=event.name, error=error
        )

    def _make_event(
        self, channel: Channel, name: str, data: object, options: SendOptions
    ) -> Event:
        if not isinstance(name, str):
            raise EventError(f"An event name must be text, not {name!r}.")
        name = plain(name)
        if name.startswith(RESERVED_PREFIX):
            raise EventError(
                f"The event name {name!r} is not allowed: names that start with "
                f"{RESERVED_PREFIX!r} are reserved for the extension. Choose another."
            )
        strict = self.config.strict_events
        payload: object
        if type(data) is dict or strict or name in self.schemas:
            payload = self.schemas.prepare(name, data, strict=strict)
        else:
            payload = self._prepare(name, data)
        nonce = ""
        if options.id is not None:
            if isinstance(payload, dict):
                payload.setdefault("id", options.id)
            nonce = f"{channel}\0{options.id}"
        return Event(
            name=name,
            data=self._encode(name, payload),
            channel=channel,
            store=options.store,
            mailbox=self._waits_for_absent(channel, name, options),
            nonce=nonce,
            coalesce=options.coalesce,
            retain=options.retain,
        )

    def _waits_for_absent(
        self, channel: Channel, name: str, options: SendOptions
    ) -> bool:
        """Whether the event goes into its user's mailbox."""
        if not (options.store and is_user_channel(channel)):
            return False
        if options.mailbox is not None:
            return options.mailbox
        names = self.config.mailbox_events
        return names == "all" or name in names

    def _prepare(self, name: str, data: object) -> object:
        """The payload, which is sent as JSON, or text, which is sent unchanged."""
        data = self.serializer.plain(name, data)
        return self.schemas.prepare(name, data) if isinstance(data, Mapping) else data

    def _encode(self, name: str, payload: object) -> str:
        if type(payload) is str:
            text = payload
        else:
            text = self.serializer.to_json(name, payload)
        most = self.config.max_event_bytes
        # A character takes at most four bytes, so short text needs no counting.
        if len(text) > most // 4:
            size = len(text.encode(errors="replace"))
            if size > most:
                reason = (
                    f"The data has {size} bytes, but SSE_PUSH_MAX_EVENT_BYTES is "
                    f"{most}. Send a reference, such as a URL, that the client can "
                    "fetch, or raise the setting."
                )
                raise PayloadError(name, {"_schema": [reason]})
        return text
