"""Blinker signals: those that send events, and those that tell what happened.

In, sent by your code with the Flask application as sender. They do what the verbs do,
with the same errors, and take the verbs' options as well:

``user_event``
    ``user_id=, event=, data=``
``group_event``
    ``group=, event=, data=``
``broadcast_event``
    ``event=, data=``

Out, sent by the extension with the Flask application as sender:

``client_connected``
    ``user_id=`` (text or ``None``)
``client_disconnected``
    ``user_id=``, ``reason=`` (text), ``duration=`` (seconds)
``user_online``, ``user_offline``
    ``user_id=``; once over all workers: connect receivers in every one
``event_published``
    ``channel=``, ``event=`` (the name), ``receipt=``, ``data=`` (JSON text, as sent)
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
    """Send a signal; an error of one receiver reaches neither the caller nor others.

    :param sender: the Flask application.
    :param what: the signal's keywords.
    """
    if signal.receivers:
        for receiver in signal.receivers_for(sender):
            try:
                receiver(sender, **what)
            except Exception:
                _log.exception("A receiver of the signal %s failed", signal.name)
