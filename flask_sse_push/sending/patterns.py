"""The guide's patterns on top of the verbs: sequences, progress, commits, limits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from ..schemas import SchemaRegistry
from .commit import AfterCommit
from .options import SendKeywords, SendOptions, with_options
from .progress import Progress
from .ratelimit import set_limit
from .receipt import Receipt
from .sequences import Sequence
from .users import UserVerbs
from .verbs import SendingVerbs

if TYPE_CHECKING:
    from marshmallow import Schema
    from sqlalchemy.orm import Session, scoped_session

_Item = TypeVar("_Item")


@dataclass(slots=True)
class Rules:
    """What an application has registered about its events, by event name.

    :param limits: rate limits, such as ``"5/minute"``.
    """

    schemas: SchemaRegistry = field(default_factory=SchemaRegistry)
    limits: dict[str, str] = field(default_factory=dict)


class Verbs(SendingVerbs, UserVerbs):
    """All that an ``SSEPush`` and a ``Publisher`` have in common."""

    @abstractmethod
    def _get_rules(self) -> Rules:
        """The rules to add to."""

    def register_schema(self, name: str, schema: type[Schema] | Schema) -> None:
        """Have the data of an event checked by a marshmallow schema.

        :param name: the event's name.
        :raises ConfigError: it is no name or no schema.
        """
        self._get_rules().schemas.register(name, schema)

    def limit(self, event: str, limit: str | None) -> None:
        """Limit how often one receiver gets the events of one name.

        A receiver is a user, a group, or everybody. It replaces
        ``SSE_PUSH_RATE_LIMIT`` for this name; the verbs' ``rate_limit=`` replaces both.

        :param event: the event's name.
        :param limit: such as ``"5/minute"``, in the notation of the ``limits`` library;
            ``None`` takes it away again.
        :raises ConfigError: it is no limit, or the extra ``limits`` is missing.
        """
        set_limit(self._get_rules().limits, event, limit)

    @with_options
    def send_to_connected(
        self,
        predicate: Callable[[str], bool],
        event: str,
        data: object,
        **options: Unpack[SendKeywords],
    ) -> list[Receipt]:
        """Send an event to those users who are connected now and whom you choose.

        :param predicate: takes a user id, as text, and says whether it gets the event.
        :param options: those of :meth:`send_to_user`.
        :returns: a receipt for each, by user id.
        :raises BackendError: who is connected cannot be told now.
        """
        users = sorted(self.get_connected_users())
        chosen = [user_id for user_id in users if predicate(user_id)]
        return self.send_to_users(chosen, event, data, **options)

    @with_options
    def sequence(
        self,
        user_id: object,
        event: str,
        steps: Iterable[object],
        *,
        pause: float = 2.0,
        **options: Unpack[SendKeywords],
    ) -> Sequence:
        """Send a user related events, one after the other.

        The first is sent before this returns; the others follow on a greenlet or a
        daemon thread. Each is numbered by ``step`` and ``totalSteps``, unless it says
        otherwise itself or the event's schema has no such fields. The first that cannot
        be sent ends the sequence: no step is left out.

        :param steps: the data of each event; all are checked before the first is sent.
        :param pause: seconds between two events.
        :param options: those of :meth:`send_to_user`, except ``id``.
        :returns: a handle: ``cancel()``, ``wait(timeout)``, ``is_done``, ``error``.
        :raises PayloadError: the data of a step does not fit; nothing was sent.
        """
        checked = SendOptions.from_keywords(options)
        sequence = Sequence(self._get_sender(), user_id, event, steps, pause, checked)
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
        :param rate: events per second, at most.
        """
        return Progress(
            self._get_sender(),
            user_id,
            items,
            total=total,
            task_id=task_id,
            message=message,
            failed_message=failed_message,
            rate=rate,
        )

    def after_commit(self, session: Session | scoped_session[Any]) -> AfterCommit:
        """The sending verbs, for events that leave when a database session commits.

        ::

            db.session.add(order)
            sse.after_commit(db.session).send_to_user(user_id, "order-update", data)
            db.session.commit()

        :raises ConfigError: SQLAlchemy is not installed, or it is no session.
        """
        return AfterCommit(self._get_sender, session)
