"""The guide's patterns, on top of the verbs: batches, sequences, progress, limits."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from ..application.state import Setup, State
from ..errors import BackendError, EventError, OutboxFull
from ..events import user_channel
from ..names import EventName
from .commit import AfterCommit
from .outbox import Receipt
from .prepare import SendOptions
from .progress import Progress
from .ratelimit import set_limit
from .sequences import Sequence

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, scoped_session

_Item = TypeVar("_Item")


class Patterns:
    """What :class:`~flask_sse_push.SSEPush` does beyond its verbs."""

    _setup: Setup

    def _state(self) -> State:
        raise NotImplementedError

    def send_batch(
        self,
        notifications: Iterable[tuple[object, object] | Mapping[str, Any]],
        event: str = EventName.NOTIFICATION,
        batch_id: str | None = None,
        **options: Unpack[SendOptions],
    ) -> list[Receipt]:
        """Send many users an event each, all with the same ``batchId``.

        Data that is no mapping, or whose schema has no ``batch_id``, goes without. All
        are checked, and counted against rate limits, before the first is sent.

        :param notifications: pairs of user id and data; or mappings, whose ``user_id``
            (or ``userId``) says who gets the rest.
        :param batch_id: 32 random hexadecimal digits unless given.
        :param options: those of :meth:`send_to_user`, less ``id``.
        :raises PayloadError: the data of one does not fit; none was sent.
        :raises RateLimitExceeded: a limit refuses one; none was sent.
        """
        if "id" in options:
            raise EventError("The events of a batch cannot share one id.")
        state = self._state()
        batch_id = uuid.uuid4().hex if batch_id is None else batch_id
        takes_id = state.setup.schemas.takes(event, "batchId")
        prepared = []
        for notification in notifications:
            user_id, data = _addressed(notification)
            if takes_id and isinstance(data, Mapping) and "batch_id" not in data:
                data = {"batchId": batch_id, **data}
            channel = user_channel(user_id)
            prepared.append(state.prepare(channel, event, data, **options))
        return state.send_all(prepared)

    def send_to_connected(
        self,
        predicate: Callable[[str], bool],
        event: str,
        data: object,
        **options: Unpack[SendOptions],
    ) -> list[Receipt]:
        """Send an event to those users who are connected now and whom you choose.

        :param predicate: takes a user id, as text, and says whether it gets the event.
        :param options: those of :meth:`send_to_user`.
        :returns: a receipt for each, by user id.
        :raises BackendError: who is connected cannot be told now.
        """
        state = self._state()
        users = sorted(state.worker.backend.connected_users())
        return state.send_all(
            [
                state.prepare(user_channel(user_id), event, data, **options)
                for user_id in users
                if predicate(user_id)
            ]
        )

    def sequence(
        self,
        user_id: object,
        event: str,
        steps: Iterable[object],
        *,
        pause: float = 2.0,
        **options: Unpack[SendOptions],
    ) -> Sequence:
        """Send a user related events, one after the other.

        The first is sent before this returns; the others follow on a greenlet or a
        daemon thread. Each is numbered by ``step`` and ``totalSteps``, unless it says
        otherwise itself or the event's schema has no such fields. The first that cannot
        be sent ends the sequence: no step is left out.

        :param steps: the data of each event; all are checked before the first is sent.
        :param pause: seconds between two events.
        :param options: those of :meth:`send_to_user`, less ``id``.
        :returns: a handle: ``cancel()``, ``wait(timeout)``, ``is_done``, ``error``.
        :raises PayloadError: the data of a step does not fit; nothing was sent.
        """
        sequence = Sequence(self._state(), user_id, event, steps, pause, options)
        sequence.start()
        return sequence

    @overload
    def progress(
        self,
        user_id: object,
        items: Iterable[_Item],
        *,
        total: float | None = None,
        task_id: str | None = None,
        message: str | None = None,
        failed_message: str | None = None,
        rate: float = 4.0,
    ) -> Progress[_Item]: ...
    @overload
    def progress(
        self,
        user_id: object,
        *,
        total: float | None = None,
        task_id: str | None = None,
        message: str | None = None,
        failed_message: str | None = None,
        rate: float = 4.0,
    ) -> Progress[Any]: ...
    def progress(
        self,
        user_id: object,
        items: Iterable[Any] | None = None,
        *,
        total: float | None = None,
        task_id: str | None = None,
        message: str | None = None,
        failed_message: str | None = None,
        rate: float = 4.0,
    ) -> Progress[Any]:
        """Tell a user how far a task is, by ``progress-update`` events.

        ::

            for row in sse.progress(user_id, rows):
                load(row)

            with sse.progress(user_id, total=len(rows)) as progress:
                for chunk in chunks(rows):
                    load_all(chunk)
                    progress.advance(len(chunk))

        The first and the last event are always sent; between them no more than ``rate``
        allows, and those reach only who is connected. They share the task id as
        ``coalesce`` key.

        :param items: counted while they are iterated.
        :param total: all there is to do; ``len(items)`` where that is known.
        :param task_id: 32 random hexadecimal digits unless given.
        :param message: for the user to read.
        :param failed_message: for the user to read if the work fails. The text of an
            exception is never sent.
        :param rate: events a second, at most.
        """
        return Progress(
            self._state(),
            user_id,
            items,
            total=total,
            task_id=task_id,
            message=message,
            failed_message=failed_message,
            rate=rate,
        )

    def limit(self, event: str, limit: str | None) -> None:
        """Limit how often one receiver gets the events of one name.

        A receiver is a user, a group, or everybody. Takes the place of
        ``SSE_PUSH_RATE_LIMIT`` for this name; the verbs' ``rate_limit=`` takes the
        place of both.

        :param event: the event's name.
        :param limit: such as ``"5/minute"``, in the notation of the ``limits`` library;
            ``None`` takes it away again.
        :raises ConfigError: it is no limit, or the extra ``limits`` is missing.
        """
        set_limit(self._setup.limits, event, limit)

    def after_commit(self, session: Session | scoped_session[Any]) -> AfterCommit:
        """The verbs, for events that leave when a database session commits.

        ::

            db.session.add(order)
            sse.after_commit(db.session).send_to_user(user_id, "order-update", data)
            db.session.commit()

        :raises ConfigError: SQLAlchemy is not installed, or it is no session.
        """
        return AfterCommit(self._state, session)

    def check_health(self) -> dict[str, Any]:
        """Raise where :meth:`health` would say that events do not get through.

        :returns: what :meth:`health` does.
        :raises OutboxFull: no more events can be accepted.
        :raises BackendError: the backend cannot be reached.
        """
        worker = self._state().worker
        health = worker.health()
        if not health["isHealthy"]:
            if health["backend"]["reachable"]:
                raise OutboxFull(health["outboxEvents"])
            raise BackendError(
                "The backend of SSE_PUSH_BACKEND_URL cannot be reached; "
                f"{health['outboxEvents']} events wait for it."
            )
        return health


def _addressed(
    notification: tuple[object, object] | Mapping[str, Any],
) -> tuple[object, object]:
    if isinstance(notification, Mapping):
        data = dict(notification)
        for key in ("user_id", "userId"):
            if key in data:
                return data.pop(key), data
        raise EventError(f"No user_id says who gets this of the batch: {notification}")
    return notification
