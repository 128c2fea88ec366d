"""The guide's domain helpers: each event they send is one method."""

from __future__ import annotations

from .chat import ChatEvents
from .orders import OrderEvents
from .sender import Sender
from .system import SystemEvents

__all__ = ["ChatEvents", "OrderEvents", "Sender", "SystemEvents"]
