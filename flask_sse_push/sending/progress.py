"""How far a task is, told to a user at a bounded rate."""

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

# Seconds without a running state for each second that one has waited in vain for the
# backend: an outage holds up the work by a tenth at most.
_WORK_PER_WAIT = 10

_Item = TypeVar("_Item")


class Progress(Generic[_Item]):
    """How far one task is, as ``progress-update`` events; ``sse.progress()`` makes it.

    As a context manager it ends in ``done``, or in ``failed`` when the block raises. As
    an iterable it counts the items by itself; there a loop that is left early ends in
    ``failed``, since a ``break`` and an exception look the same from here. Where
    leaving early is no failure, iterate within ``with``.

    Progress never ends the work it reports on: an event that cannot be sent now is
    logged and told by ``event_failed``. Data that is wrong raises, as always.
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
            raise EventError(f"rate is events a second, above 0, not {rate!r}.")
        self._sender = sender
        self._channel = user_channel(user_id)
        self._items = items
        self._pause = 1 / rate
        self._sent = 0.0
        self._status: ProgressStatus | None = None
        self._failed_message = failed_message
        #: What the events of this task carry as ``taskId``.
        self.task_id = task_id if task_id is not None else uuid.uuid4().hex
        self.current: float = 0
        countable: object = items
        if total is None and isinstance(countable, Sized):
            total = len(countable)
        self.total = total
        self.message = message

    def advance(self, by: float = 1) -> None:
        """Note that more is done.

        :raises EventError: the task has not begun or has ended.
        """
        self.update(current=self.current + by)

    def update(
        self,
        *,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
    ) -> None:
        """Note how far the task is; what is not given stays as it was.

        :param current: done so far; past ``total``, the total grows with it.
        :param total: all there is to do.
        :param message: for the user to read.
        :raises EventError: it is below 0, or the task has not begun or has ended.
        :raises PayloadError: a value is none that the event may carry.
        """
        if self._status is not ProgressStatus.RUNNING:
            raise EventError(
                "Progress is noted between begin and end: use it in 'with' or 'for'."
            )
        if current is not None:
            if current < 0:
                raise EventError(f"Progress is not below 0: {current!r}.")
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
            raise EventError("A progress is used once: make another.")
        self._status = ProgressStatus.RUNNING
        self._send(self.message)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: object
    ) -> None:
        if kind is GeneratorExit:
            # Perhaps the garbage collector's doing, amid anything: nothing may be
            # waited for here.
            spawn(self._end, ProgressStatus.FAILED)
        else:
            self._end(ProgressStatus.DONE if kind is None else ProgressStatus.FAILED)

    def __iter__(self) -> Iterator[_Item]:
        if self._items is None:
            raise EventError("There is nothing to iterate: give sse.progress() items.")
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
            # A running state is worth nothing later; how the task ended is.
            store=self._status is not ProgressStatus.RUNNING,
            coalesce=self.task_id,
        )
        try:
            self._sender.send([self._channel], EventName.PROGRESS_UPDATE, data, options)
        except (BackendError, RateLimitExceeded) as error:
            # A Publisher has waited for the backend meanwhile, and so has the work.
            waited = time.monotonic() - self._sent
            self._sent += _WORK_PER_WAIT * waited
            _log.warning("Progress of task %s not sent: %s", self.task_id, error)
