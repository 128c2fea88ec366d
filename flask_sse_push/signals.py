"""Blinker signals: some send events, the others report what has happened.

Your code sends these, with the Flask application as sender. They do what the verbs do,
raise the same errors, and take the verbs' options as well:

``user_event``
    ``user_id=, event=, data=``
``group_event``
    ``group=, event=, data=``
``broadcast_event``
    ``event=, data=``

The extension sends these, with the Flask application as sender:

``client_connected``
    ``user_id=`` (text or ``None``)
``client_disconnected``
    ``user_id=``, ``reason=`` (text), ``duration=`` (seconds)
``user_online``, ``user_offline``
    ``user_id=``; once over all workers: connect receivers in every one
``event_published``
    ``channel=``, ``event=`` (the name), ``receipt=``, ``data=`` (text, as sent)
``event_failed``
    ``channel=``, ``event=``, ``error=`` (the exception)
"""

from __future__ import annotations

import logging
from typing import Any

from blinker import NamedSignal, Namespace

_log = logging.getLogger("flask_sse_push")

_signals = Namespace()

user_event = _signals.signal("sse-push-user-event")
group_event = _signals.signal("sse-push-group-event")
broadcast_event = _signals.signal("sse-push-broadcast-event")

client_connected = _signals.signal("sse-push-client-connected")
client_disconnected = _signals.signal("sse-push-client-disconnected")
user_online = _signals.signal("sse-push-user-online")
user_offline = _signals.signal("sse-push-user-offline")
event_published = _signals.signal("sse-push-event-published")
event_failed = _signals.signal("sse-push-event-failed")


def announce(signal: NamedSignal, sender: object, **what: Any) -> None:
    """Send a signal. If a receiver raises, the error is logged and the others run.

    :param sender: the Flask application.
    :param what: the signal's keyword arguments.
    """
    if signal.receivers:
        for receiver in signal.receivers_for(sender):
            try:
                receiver(sender, **what)
            except Exception:
                _log.exception(
                    "A receiver of the signal %s raised an error", signal.name
                )
