"""The guide's patterns, built on the verbs: sequences, progress, commits, limits."""

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
    """The schemas and rate limits that an application has registered, by event name.

    :param limits: rate limits, such as ``"5/minute"``.
    """

    schemas: SchemaRegistry = field(default_factory=SchemaRegistry)
    limits: dict[str, str] = field(default_factory=dict)


class Verbs(SendingVerbs, UserVerbs):
    """The verbs that ``SSEPush`` and ``Publisher`` have in common."""

    @abstractmethod
    def _get_rules(self) -> Rules:
        """The rules to add to."""

    def register_schema(self, name: str, schema: type[Schema] | Schema) -> None:
        """Check the data of all events of one name with a marshmallow schema.

        :param name: the event's name.
        :raises ConfigError: ``name`` is not an event name or ``schema`` not a schema.
        """
        self._get_rules().schemas.register(name, schema)

    def limit(self, event: str, limit: str | None) -> None:
        """Limit how often one receiver gets the events of one name.

        A receiver is a user, a group, or everybody. This limit replaces
        ``SSE_PUSH_RATE_LIMIT`` for this name; the verbs' ``rate_limit=`` replaces both.

        :param event: the event's name.
        :param limit: such as ``"5/minute"``, in the notation of the ``limits`` library;
            ``None`` removes it.
        :raises ConfigError: the limit cannot be parsed, or the extra ``limits`` is not
            installed.
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
        """Send an event to the connected users for whom a predicate is true.

        :param predicate: called with the id of each connected user, as text.
        :param options: those of :meth:`send_to_user`.
        :returns: a receipt for each chosen user, sorted by user id.
        :raises BackendError: the backend cannot be asked who is connected.
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
        daemon thread. Each gets ``step`` and ``totalSteps``, unless its data has them
        already or the event's schema has no such fields. If a step cannot be sent, the
        sequence ends there: no step is skipped.

        :param steps: the data of each event; all are checked before the first is sent.
        :param pause: seconds between two events.
        :param options: those of :meth:`send_to_user`, except ``id``.
        :returns: the running sequence, with ``cancel()``, ``wait(timeout)``,
            ``is_done`` and ``error``.
        :raises PayloadError: the data of a step is not valid; nothing was sent.
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
        """Report the progress of a task to a user, as ``progress-update`` events.

        ::

            for row in sse.progress(user_id, rows):
                load(row)

            with sse.progress(user_id, total=len(rows)) as progress:
                for chunk in chunks(rows):
                    load_all(chunk)
                    progress.advance(len(chunk))

        The first and the last event are always sent. Between them at most ``rate``
        events per second are sent, and only to users who are connected. All share the
        task id as ``coalesce`` key.

        :param items: counted while they are iterated.
        :param total: the amount of work; defaults to ``len(items)``, if it has one.
        :param task_id: text; by default, 32 random hexadecimal digits.
        :param message: text for the user.
        :param failed_message: text for the user if the work fails. The text of an
            exception is never sent.
        :param rate: the most events per second.
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
        """The sending verbs, for events that are sent when a database session commits.

        ::

            db.session.add(order)
            sse.after_commit(db.session).send_to_user(user_id, "order-update", data)
            db.session.commit()

        :raises ConfigError: SQLAlchemy is not installed, or ``session`` is not one of
            its sessions.
        """
        return AfterCommit(self._get_sender, session)
