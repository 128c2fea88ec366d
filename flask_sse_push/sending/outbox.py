"""The outbox: a queue before an event log that may be unreachable for a while."""

from __future__ import annotations

import heapq
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

from ..errors import BackendError, OutboxFull
from ..events import Event, Position
from ..names import Priority
from ..runtime.backoff import Backoff
from ..runtime.concurrency import native_lock, sleep, spawn
from .receipt import Receipt

_log = logging.getLogger("flask_sse_push")

# The most events, and characters of their data, in one append: the event log must
# answer well within its timeout.
_BATCH, _BATCH_CHARACTERS = 500, 1024 * 1024


# Era, rank of the priority, number in the order of arrival, event and receipt. An event
# that keeps its place has a separate era, between those before and after it.
_Waiting = tuple[int, int, int, Event, Receipt]


def with_nonce(event: Event) -> Event:
    """The event with a nonce, so that appending it again does not repeat it."""
    return event if event.nonce else replace(event, nonce=secrets.token_urlsafe(12))


class Outbox:
    """A bounded priority queue before a remote event log.

    Higher priorities leave first; events of one priority leave in the order they came.
    Events that cannot be appended now stay in the outbox and are tried again.

    :param append: writes events to the event log and returns their positions; it raises
        ``BackendError`` if a later try may succeed.
    :param size: the most events it holds.
    :param on_failed: called with an event that the event log cannot accept, and the
        error.
    """

    def __init__(
        self,
        append: Callable[[Sequence[Event]], list[Position]],
        size: int,
        on_failed: Callable[[Event, Exception], None],
    ) -> None:
        self._append = append
        self._size = size
        self._on_failed = on_failed
        self._lock = native_lock()
        self._heap: list[_Waiting] = []
        self._numbers = count()
        self._era = 0
        self._leaving_era = 0
        self._leaving = 0
        self._draining = False
        self._is_failing = False

    def __len__(self) -> int:
        return len(self._heap) + self._leaving

    def put(
        self,
        event: Event,
        priority: Priority,
        connected: bool | None,
        *,
        keeps_place: bool = False,
    ) -> Receipt:
        """Queue an event. If it is ``URGENT``, first try to append it at once.

        :param keeps_place: whether it leaves after everything that is queued now and
            before everything that is queued later, regardless of priorities.
        :raises OutboxFull: the outbox is full.
        """
        receipt = Receipt(connected)
        event = with_nonce(event)
        if priority is Priority.URGENT and self._may_overtake(keeps_place):
            try:
                receipt.settle(self._append([event])[0])
            except BackendError:
                _log.warning(
                    "The event log (SSE_PUSH_BACKEND_URL) does not answer; an urgent "
                    "event waits in the outbox"
                )
            else:
                return receipt
        with self._lock:
            if len(self) >= self._size:
                raise OutboxFull(len(self))
            self._era += keeps_place
            waiting = (self._era, priority.rank, next(self._numbers), event, receipt)
            heapq.heappush(self._heap, waiting)
            self._era += keeps_place
            must_start = not self._draining
            self._draining = True
        if must_start:
            spawn(self._drain)
        return receipt

    def _may_overtake(self, keeps_place: bool) -> bool:
        """Whether an urgent event can be appended at once."""
        with self._lock:
            if self._is_failing:
                # During an outage it is queued too, before all other priorities.
                return False
            if keeps_place:
                return not len(self)
            if self._leaving:
                return self._leaving_era == self._era
            return not self._heap or self._heap[0][0] == self._era

    def flush(self, timeout: float) -> bool:
        """Wait until the outbox is empty.

        :param timeout: the longest wait, in seconds.
        :returns: whether it is empty.
        """
        end = time.monotonic() + timeout
        while len(self) and time.monotonic() < end:
            sleep(0.005)
        return not len(self)

    def _drain(self) -> None:
        try:
            self._drain_all()
        except BaseException:
            with self._lock:
                self._leaving = 0
                self._draining = False
            raise

    def _drain_all(self) -> None:
        backoff = Backoff()
        while batch := self._take():
            try:
                positions = self._append([event for _, _, _, event, _ in batch])
            except BackendError as error:
                if not self._is_failing:
                    _log.warning(
                        "The event log (SSE_PUSH_BACKEND_URL) does not answer; %d "
                        "events wait in the outbox and are retried: %s",
                        len(self),
                        error,
                    )
                self._is_failing = True
                self._return(batch)
                sleep(backoff.take())
            except Exception as error:
                _log.exception(
                    "The event log (SSE_PUSH_BACKEND_URL) refused %d events; they are "
                    "not sent",
                    len(batch),
                )
                self._leaving = 0
                for _, _, _, event, _ in batch:
                    self._tell_failed(event, error)
            else:
                backoff.reset()
                if self._is_failing:
                    _log.warning(
                        "The event log (SSE_PUSH_BACKEND_URL) accepts events again"
                    )
                self._is_failing = False
                self._leaving = 0
                for (*_, receipt), position in zip(batch, positions, strict=True):
                    receipt.settle(position)

    def _tell_failed(self, event: Event, error: Exception) -> None:
        try:
            self._on_failed(event, error)
        except Exception:
            _log.exception("An event that the event log refused could not be reported")

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        with self._lock:
            while self._heap and len(batch) < _BATCH and size < _BATCH_CHARACTERS:
                batch.append(heapq.heappop(self._heap))
                size += len(batch[-1][3].data)
            self._leaving = len(batch)
            if batch:
                self._leaving_era = batch[0][0]
            else:
                self._draining = False
        return batch

    def _return(self, batch: list[_Waiting]) -> None:
        with self._lock:
            self._leaving = 0
            for item in batch:
                heapq.heappush(self._heap, item)
