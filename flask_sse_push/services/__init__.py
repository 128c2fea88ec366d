"""The guide's domain helpers, with one method for each event they send."""

from __future__ import annotations

from .chat import ChatEvents
from .orders import OrderEvents
from .sender import EventSender
from .system import SystemEvents

__all__ = ["ChatEvents", "EventSender", "OrderEvents", "SystemEvents"]
