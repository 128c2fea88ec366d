"""What the services send through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..names import Priority

if TYPE_CHECKING:
    from ..payloads import IdValue
    from ..sending.receipt import Receipt


class Sender(Protocol):
    """The verbs the services use: an ``SSEPush``, a ``Publisher`` or a recorder."""

    def send_to_user(
        self,
        user_id: IdValue,
        event: str,
        data: Mapping[str, Any],
        *,
        priority: Priority = Priority.NORMAL,
        store: bool = True,
        id: str | None = None,
    ) -> Receipt:
        """Send an event to one user."""

    def broadcast(
        self,
        event: str,
        data: Mapping[str, Any],
        *,
        priority: Priority = Priority.NORMAL,
        store: bool = True,
        id: str | None = None,
    ) -> Receipt:
        """Send an event to everybody."""
