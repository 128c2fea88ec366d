"""Events that are sent when a SQLAlchemy transaction commits, and only then."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .receipt import Receipt
from .sender import Outgoing, Sender
from .verbs import SendingVerbs

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction, scoped_session

_log = logging.getLogger("flask_sse_push")

_QUEUE = "flask_sse_push"


class AfterCommit(SendingVerbs):
    """The verbs, for events about changes that a database session is about to commit.

    Each call checks its event at once, against schema and rate limit, and raises as the
    verb does. The event is sent when the session's outermost transaction has committed.
    A rollback drops it, and so does the rollback of the SAVEPOINT it was sent in. If it
    cannot be sent after the commit, the error is logged and the signal ``event_failed``
    is sent. A receipt is ``queued`` until its event is in the event log.

    The object may be kept and reused: it asks a ``scoped_session`` for the current
    session at each call.

    :param session: a ``Session``, a ``scoped_session`` or Flask-SQLAlchemy's
        ``db.session``.
    :raises ConfigError: SQLAlchemy is not installed, or ``session`` is not a session.
    """

    def __init__(
        self,
        get_sender: Callable[[], Sender],
        session: Session | scoped_session[Any],
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
        self._get_final_sender = get_sender
        # A scoped_session has a session for each thread or request: ask at each use.
        self._get_session = session if callable(session) else lambda: session

    def _get_sender(self) -> Sender:
        return self._get_final_sender().finishing_with(self._queue)

    def _queue(self, outgoing: Sequence[Outgoing]) -> list[Receipt]:
        sender = self._get_final_sender()
        session = self._get_session()
        savepoint = session.get_nested_transaction()
        waiting = [_Waiting(sender, one, Receipt(None), savepoint) for one in outgoing]
        _queue_of(session).waiting += waiting
        return [item.receipt for item in waiting]


@dataclass(slots=True)
class _Waiting:
    sender: Sender
    outgoing: Outgoing
    receipt: Receipt
    #: The SAVEPOINT the event waits for; None for the outermost transaction.
    savepoint: SessionTransaction | None


@dataclass(slots=True)
class _Queue:
    """The events that wait for one session's transaction, kept in ``session.info``."""

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
    # A SAVEPOINT was released: its events now wait for the transaction around it.
    outer = savepoint.parent
    while outer is not None and not outer.nested:
        outer = outer.parent
    for item in queue.waiting:
        if item.savepoint is savepoint:
            item.savepoint = outer


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    queue = _queue_of(session)
    if transaction.nested:
        # A released SAVEPOINT has no events left; otherwise it was rolled back.
        queue.waiting = [
            item for item in queue.waiting if item.savepoint is not transaction
        ]
    elif transaction.parent is None:
        waiting, queue.waiting = queue.waiting, []
        is_committed, queue.is_committed = queue.is_committed, False
        # Sending waits for this hook, not after_commit, so that a receiver of
        # event_published can begin a new transaction on the session.
        if is_committed:
            for item in waiting:
                _send(item)


def _send(item: _Waiting) -> None:
    try:
        [receipt] = item.sender.append_all([item.outgoing])
        item.receipt.follow(receipt)
    except Exception:
        event = item.outgoing.event
        _log.exception(
            "The event %r to %s could not be sent after the commit",
            event.name,
            event.channel,
        )
