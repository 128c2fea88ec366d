"""Events that leave when a SQLAlchemy transaction commits, and only then."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

from ..application.state import State
from ..errors import ConfigError
from ..events import ALL, group_channel, user_channel, user_channels
from .prepare import Prepared, SendOptions

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction, scoped_session

_log = logging.getLogger("flask_sse_push")

_QUEUE = "flask_sse_push"


class AfterCommit:
    """The verbs, for events that tell of what a database session is about to commit.

    Each call checks its event at once, against schema and rate limit, and raises as the
    verb does. The event leaves when the session's outermost transaction has committed.
    A rollback drops it, and so does the rollback of the SAVEPOINT it was sent in. What
    fails to be sent after the commit is logged and told by ``event_failed``: it is too
    late to refuse.

    May be made once and kept: a ``scoped_session`` is asked for its session each time.

    :param session: a ``Session``, a ``scoped_session`` or Flask-SQLAlchemy's
        ``db.session``.
    :raises ConfigError: SQLAlchemy is not installed, or it is no session.
    """

    def __init__(
        self, get_state: Callable[[], State], session: Session | scoped_session[Any]
    ) -> None:
        try:
            from sqlalchemy.orm import Session, scoped_session  # noqa: PLC0415 (an extra)
        except ModuleNotFoundError as error:
            raise ConfigError(
                "after_commit() needs SQLAlchemy: "
                "pip install 'flask_sse_push[sqlalchemy]'"
            ) from error
        if not isinstance(session, (Session, scoped_session)):
            raise ConfigError(
                "after_commit() takes a SQLAlchemy Session or scoped_session, not "
                f"{session!r}."
            )
        self._get_state = get_state
        # A scoped_session has one for each thread or request: asked when it is used.
        self._get_session = session if callable(session) else lambda: session

    def send_to_user(
        self, user_id: object, event: str, data: object, **options: Unpack[SendOptions]
    ) -> None:
        """Send an event to one user; the options of ``SSEPush.send_to_user``."""
        self._queue([user_channel(user_id)], event, data, options)

    def send_to_users(
        self,
        user_ids: Iterable[object],
        event: str,
        data: object,
        **options: Unpack[SendOptions],
    ) -> None:
        """Send an event to several users."""
        self._queue(user_channels(user_ids), event, data, options)

    def send_to_group(
        self, group: str, event: str, data: object, **options: Unpack[SendOptions]
    ) -> None:
        """Send an event to a group."""
        self._queue([group_channel(group)], event, data, options)

    def broadcast(
        self, event: str, data: object, **options: Unpack[SendOptions]
    ) -> None:
        """Send an event to every connection."""
        self._queue([ALL], event, data, options)

    def _queue(
        self, channels: list[str], event: str, data: object, options: SendOptions
    ) -> None:
        state = self._get_state()
        session = self._get_session()
        prepared = [
            state.prepare(channel, event, data, **options) for channel in channels
        ]
        for item in prepared:
            state.admit(item)
        queue = _queue_of(session)
        savepoint = session.get_nested_transaction()
        queue.waiting += [_Waiting(state, item, savepoint) for item in prepared]


@dataclass(slots=True)
class _Waiting:
    state: State
    prepared: Prepared
    #: The SAVEPOINT it waits for; None for the outermost transaction.
    savepoint: SessionTransaction | None


@dataclass(slots=True)
class _Queue:
    """What waits for one session's transaction; it lives in ``session.info``."""

    waiting: list[_Waiting] = field(default_factory=list)
    is_committed: bool = False


def _queue_of(session: Session) -> _Queue:
    queue: _Queue | None = session.info.get(_QUEUE)
    if queue is None:
        from sqlalchemy import event  # noqa: PLC0415 (an extra)

        queue = session.info[_QUEUE] = _Queue()
        event.listen(session, "after_commit", _after_commit)
        event.listen(session, "after_transaction_end", _after_transaction_end)
    return queue


def _after_commit(session: Session) -> None:
    queue = _queue_of(session)
    savepoint = session.get_nested_transaction()
    if savepoint is None:
        queue.is_committed = True
        return
    # The release of a SAVEPOINT: what waited for it now waits for what it was part of.
    outer = savepoint.parent
    while outer is not None and not outer.nested:
        outer = outer.parent
    for item in queue.waiting:
        if item.savepoint is savepoint:
            item.savepoint = outer


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    queue = _queue_of(session)
    if transaction.nested:
        # Released, it has none left; else it was rolled back.
        queue.waiting = [
            item for item in queue.waiting if item.savepoint is not transaction
        ]
    elif transaction.parent is None:
        waiting, queue.waiting = queue.waiting, []
        is_committed, queue.is_committed = queue.is_committed, False
        # Here, not at the commit itself: receivers of event_published find the session
        # free for a new transaction.
        if is_committed:
            for item in waiting:
                _send(item)


def _send(item: _Waiting) -> None:
    try:
        item.state.publish(item.prepared)
    except Exception:
        event = item.prepared.event
        _log.exception("Not sent after the commit: %s to %s", event.name, event.channel)
