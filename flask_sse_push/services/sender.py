"""The verbs that the services need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..names import Priority

if TYPE_CHECKING:
    from ..payloads import IdValue
    from ..sending.receipt import Receipt


class EventSender(Protocol):
    """The verbs the services use; ``SSEPush`` and ``Publisher`` have them."""

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
