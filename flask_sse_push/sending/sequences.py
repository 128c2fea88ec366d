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

    It runs on a greenlet or a daemon thread of this process. It goes on after the
    request that started it, but not after the process: where every step must come, let
    a task queue send them.
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
            raise EventError(f"pause is seconds from 0, not {pause!r}.")
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
        #: Why the sequence ended early, if an event could not be sent.
        self.error: Exception | None = None
        #: Whether nothing more will be sent.
        self.is_done = not self._steps
        for step in self._steps:
            sender.check(self._channel, event, step, options)

    def __repr__(self) -> str:
        sent, steps = len(self.receipts), len(self._steps)
        return f"<Sequence {self._event!r} {sent}/{steps} error={self.error!r}>"

    def start(self) -> None:
        """Send the first event, and have the others sent."""
        if self._steps:
            self._send(self._steps[0])
        if len(self._steps) > 1:
            spawn(self._run)
        else:
            self.is_done = True

    def cancel(self) -> None:
        """Send no more; what was sent stays sent."""
        self._is_cancelled = True
        if self._wakeup is not None:
            self._wakeup.set()

    def wait(self, timeout: float) -> bool:
        """Wait until the sequence has ended, in whatever way.

        :param timeout: seconds.
        :returns: whether it has.
        """
        end = time.monotonic() + timeout
        while not self.is_done and time.monotonic() < end:
            sleep(0.005)
        return self.is_done

    def _run(self) -> None:
        # Made where it is waited for, and before the first look at the flag.
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
            _log.warning("%r ends early", self)
        except Exception as error:
            self.error = error
            _log.exception("%r ends early", self)
        finally:
            self.is_done = True

    def _send(self, step: object) -> None:
        # Made anew, for the time it carries to be the time it is sent.
        self.receipts += self._sender.send(
            [self._channel], self._event, step, self._options
        )


def _number(sender: Sender, event: str, steps: list[object]) -> list[object]:
    """The steps with ``step`` and ``totalSteps``, where they may have and lack them."""
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
