"""The response that becomes a connection when the server calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flask import Response

from ..events import Channel, Position
from .connections import Receivers
from .membership import Watch
from .negotiation import MIMETYPE
from .refusal import STREAM_HEADERS

#: Opens the stream of a response: takes the response, the WSGI environment and
#: ``start_response``, and returns the body.
Open = Callable[["StreamResponse", dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Opening:
    """The values needed to open a stream when the server calls the response."""

    user_channel: Channel | None
    groups: tuple[Channel, ...]
    last_event_id: str | None
    not_before: Position
    watch: Watch | None

    @property
    def receivers(self) -> Receivers:
        return self.user_channel, self.groups

    @property
    def channels(self) -> tuple[Channel, ...]:
        own = () if self.user_channel is None else (self.user_channel,)
        return (*own, *self.groups)


class StreamResponse(Response):
    """A response that becomes a connection when the server calls it.

    It does not do so earlier, because the application may still replace the response.
    """

    default_mimetype = MIMETYPE
    opening: Opening
    open: Open

    def __init__(self) -> None:
        # An iterator has no Content-Length. The body is passed through directly: a hook
        # that reads the whole body would never return.
        super().__init__(iter(()), headers=STREAM_HEADERS, direct_passthrough=True)
        self.has_on_close = False

    def call_on_close(self, func: Callable[[], Any]) -> Callable[[], Any]:
        self.has_on_close = True
        return super().call_on_close(func)

    def start(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer like any other response, with the body that was set."""
        return super().__call__(environ, start_response)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        return self.open(self, environ, start_response)


@lru_cache(maxsize=16)
def response_class(base: type[Response]) -> type[StreamResponse]:
    """The stream response class for an application's ``response_class``.

    Flask converts a response that is not an instance of ``response_class``, and the
    converted response could not stream.
    """
    if issubclass(StreamResponse, base):
        return StreamResponse
    return type("StreamResponse", (StreamResponse, base), {})
