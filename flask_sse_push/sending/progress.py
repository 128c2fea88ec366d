"""The progress of a task, reported to a user at a limited rate."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Sized
from typing import Any, Generic, TypeVar

from ..errors import BackendError, EventError, RateLimitExceeded
from ..events import user_channel
from ..names import EventName, ProgressStatus
from ..runtime.concurrency import spawn
from .options import SendOptions
from .sender import Sender

_log = logging.getLogger("flask_sse_push")

# Seconds in which no progress is sent, for each second that sending an event took until
# it failed: an outage slows the work down by at most a tenth.
_WORK_PER_WAIT = 10

_Item = TypeVar("_Item")


class Progress(Generic[_Item]):
    """The progress of one task, as ``progress-update`` events; see ``sse.progress()``.

    As a context manager it ends as ``done``, or as ``failed`` if the block raises. As
    an iterable it counts the items itself. A loop that is left early then ends as
    ``failed``, because a ``break`` and an exception look the same to an iterator. If
    leaving early is not a failure, iterate inside ``with``.

    An event that cannot be sent now does not interrupt the work: the error is logged
    and the signal ``event_failed`` is sent. Invalid data raises, as always.
    """

    def __init__(
        self,
        sender: Sender,
        user_id: object,
        items: Iterable[_Item] | None = None,
        *,
        total: float | None = None,
        task_id: str | None = None,
        message: str | None = None,
        failed_message: str | None = None,
        rate: float = 4.0,
    ) -> None:
        if not rate > 0:
            raise EventError(f"rate must be events per second above 0, not {rate!r}.")
        self._sender = sender
        self._channel = user_channel(user_id)
        self._items = items
        self._pause = 1 / rate
        self._sent = 0.0
        self._status: ProgressStatus | None = None
        self._failed_message = failed_message
        #: The ``taskId`` of all events of this task.
        self.task_id = task_id if task_id is not None else uuid.uuid4().hex
        self.current: float = 0
        countable: object = items
        if total is None and isinstance(countable, Sized):
            total = len(countable)
        self.total = total
        self.message = message

    def advance(self, by: float = 1) -> None:
        """Add to the amount that is done.

        :raises EventError: the task has not started or has ended.
        """
        self.update(current=self.current + by)

    def update(
        self,
        *,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
    ) -> None:
        """Set the state of the task; arguments that are left out keep their value.

        :param current: the amount done so far; it raises ``total`` if it is greater.
        :param total: the amount of work.
        :param message: text for the user.
        :raises EventError: ``current`` is below 0, or the task has not started or has
            ended.
        :raises PayloadError: a value is not allowed by the event's schema.
        """
        if self._status is not ProgressStatus.RUNNING:
            raise EventError(
                "This progress is not running: call advance() and update() inside its "
                "'with' block or 'for' loop."
            )
        if current is not None:
            if current < 0:
                raise EventError(f"current must not be below 0: {current!r}.")
            self.current = current
        if total is not None:
            self.total = total
        if self.total is not None and self.current > self.total:
            self.total = self.current
        if message is not None:
            self.message = message
        if time.monotonic() - self._sent >= self._pause:
            self._send(self.message)

    def __enter__(self) -> Progress[_Item]:
        if self._status is not None:
            raise EventError(
                "A progress can be used only once: call sse.progress() again."
            )
        self._status = ProgressStatus.RUNNING
        self._send(self.message)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: object
    ) -> None:
        if kind is GeneratorExit:
            # The garbage collector may close a generator in the middle of any code, so
            # nothing here may wait.
            spawn(self._end, ProgressStatus.FAILED)
        else:
            self._end(ProgressStatus.DONE if kind is None else ProgressStatus.FAILED)

    def __iter__(self) -> Iterator[_Item]:
        if self._items is None:
            raise EventError(
                "There is nothing to iterate over: pass items to sse.progress()."
            )
        if self._status is ProgressStatus.RUNNING:
            yield from self._count(self._items)
        else:
            with self:
                yield from self._count(self._items)

    def _count(self, items: Iterable[_Item]) -> Iterator[_Item]:
        for item in items:
            yield item
            self.advance()

    def _end(self, status: ProgressStatus) -> None:
        self._status = status
        is_failed = status is ProgressStatus.FAILED
        self._send(self._failed_message if is_failed else self.message)

    def _send(self, message: str | None) -> None:
        self._sent = time.monotonic()
        data: dict[str, Any] = {
            "task_id": self.task_id,
            "current": self.current,
            "status": self._status,
        }
        if self.total is not None:
            data["total"] = self.total
        if message is not None:
            data["message"] = message
        options = SendOptions(
            # Only the last event, which says how the task ended, is useful later.
            store=self._status is not ProgressStatus.RUNNING,
            coalesce=self.task_id,
        )
        try:
            self._sender.send([self._channel], EventName.PROGRESS_UPDATE, data, options)
        except (BackendError, RateLimitExceeded) as error:
            # A Publisher waits for the backend, and the work waits with it.
            waited = time.monotonic() - self._sent
            self._sent += _WORK_PER_WAIT * waited
            _log.warning(
                "The progress of task %s could not be sent: %s", self.task_id, error
            )
