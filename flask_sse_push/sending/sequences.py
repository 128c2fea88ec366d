"""Related events, one after the other with a pause between them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

from ..errors import EventError, SSEPushError
from ..events import user_channel
from ..runtime.concurrency import Wakeup, make_wakeup, sleep, spawn
from .options import SendOptions
from .receipt import Receipt
from .sender import Sender

_log = logging.getLogger("flask_sse_push")


class Sequence:
    """A running sequence of events to one user; ``sse.sequence()`` starts it.

    It runs on a greenlet or a daemon thread of this process. It outlives the request
    that started it, but not the process: if every step must be sent, send the steps
    from a task queue.
    """

    def __init__(
        self,
        sender: Sender,
        user_id: object,
        event: str,
        steps: Iterable[object],
        pause: float,
        options: SendOptions,
    ) -> None:
        if not pause >= 0:
            raise EventError(f"pause must be seconds, 0 or more, not {pause!r}.")
        if options.id is not None:
            raise EventError(
                "The events of a sequence cannot share one id: leave id out."
            )
        self._sender = sender
        self._channel = user_channel(user_id)
        self._event = event
        self._pause = pause
        self._options = options
        self._steps = _number(sender, event, list(steps))
        self._wakeup: Wakeup | None = None
        self._is_cancelled = False
        #: Receipts of the events that were sent.
        self.receipts: list[Receipt] = []
        #: The error that ended the sequence early, if an event could not be sent.
        self.error: Exception | None = None
        #: Whether the sequence has ended.
        self.is_done = not self._steps
        for step in self._steps:
            sender.check(self._channel, event, step, options)

    def __repr__(self) -> str:
        sent, steps = len(self.receipts), len(self._steps)
        return f"<Sequence {self._event!r} {sent}/{steps} error={self.error!r}>"

    def start(self) -> None:
        """Send the first event, and start sending the others in the background."""
        if self._steps:
            self._send(self._steps[0])
        if len(self._steps) > 1:
            spawn(self._run)
        else:
            self.is_done = True

    def cancel(self) -> None:
        """Send no more events."""
        self._is_cancelled = True
        if self._wakeup is not None:
            self._wakeup.set()

    def wait(self, timeout: float) -> bool:
        """Wait until the sequence has ended: sent, cancelled or failed.

        :param timeout: the longest wait, in seconds.
        :returns: whether it has ended.
        """
        end = time.monotonic() + timeout
        while not self.is_done and time.monotonic() < end:
            sleep(0.005)
        return self.is_done

    def _run(self) -> None:
        # Made by the thread or greenlet that waits on it, before it reads the flag.
        wakeup = self._wakeup = make_wakeup()
        try:
            for step in self._steps[1:]:
                if not self._is_cancelled:
                    wakeup.wait(self._pause)
                if self._is_cancelled:
                    break
                self._send(step)
        except SSEPushError as error:
            self.error = error
            _log.warning("%r ends early, because an event could not be sent", self)
        except Exception as error:
            self.error = error
            _log.exception("%r ends early, because of an unexpected error", self)
        finally:
            self.is_done = True

    def _send(self, step: object) -> None:
        # The event is made now, so that its timestamp is the time it is sent.
        self.receipts += self._sender.send(
            [self._channel], self._event, step, self._options
        )


def _number(sender: Sender, event: str, steps: list[object]) -> list[object]:
    """Add missing ``step`` and ``totalSteps``, if the schema has these fields."""
    takes_step = sender.schemas.takes(event, "step")
    takes_total = sender.schemas.takes(event, "totalSteps")
    numbered: list[object] = []
    for number, step in enumerate(steps, start=1):
        if not isinstance(step, Mapping):
            numbered.append(step)
            continue
        data = dict(step)
        if takes_step:
            data.setdefault("step", number)
        if takes_total and "total_steps" not in data:
            data.setdefault("totalSteps", len(steps))
        numbered.append(data)
    return numbered
