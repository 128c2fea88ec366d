"""Text that identifies something, and what text may go out at all."""

from __future__ import annotations

from uuid import UUID

from ..errors import EventError

_MAX_LENGTH = 256


def id_text(id: object, what: str = "user id") -> str:
    """Give an id as text: ``42`` and ``"42"`` identify the same user.

    :param id: text, a number or a UUID; 1 to 256 characters as text.
    :param what: what the id identifies, for the error text.
    :raises EventError: anything else, ``None`` and booleans included.
    """
    if isinstance(id, str):
        return checked_name(plain(id), what)
    if not isinstance(id, (int, UUID)) or isinstance(id, bool):
        raise EventError(f"A {what} is text, a number or a UUID, not {id!r}.")
    return checked_name(str(id), what)


def checked_name(text: str, what: str) -> str:
    """Give back a name that has an allowed length and can be encoded.

    :param what: what the name is of, for the error text.
    :raises EventError: it is empty, longer than 256 characters, or not encodable.
    """
    if not 0 < len(text) <= _MAX_LENGTH:
        raise EventError(
            f"A {what} has 1 to {_MAX_LENGTH} characters, not {len(text)}."
        )
    require_encodable(text, what)
    return text


def retain_key(key: str) -> str:
    """The key of which an event is the newest.

    :raises EventError: it is no text, is empty or longer than 256 characters.
    """
    if not isinstance(key, str):
        raise EventError(f"retain= takes a key, which is text, not {key!r}.")
    return checked_name(plain(key), "retain key")


def plain(text: str) -> str:
    """Text without its subclass: ``str()`` of a ``(str, Enum)`` member is its name."""
    return str.__str__(text)


def require_encodable(text: str, what: str) -> None:
    """Check that text has a UTF-8 form.

    :param what: what the text is, for the error text.
    :raises EventError: it holds half of a surrogate pair.
    """
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EventError(
            f"The {what} holds half of a surrogate pair at index {error.start}. Decode "
            "the text with errors='replace' where it comes from."
        ) from error
