"""Checks of ids, names and other text that is sent to clients."""

from __future__ import annotations

from uuid import UUID

from ..errors import EventError

_MAX_LENGTH = 256


def id_text(id: object, what: str = "user id") -> str:
    """Return an id as text: ``42`` and ``"42"`` identify the same user.

    :param id: text, a number or a UUID; 1 to 256 characters as text.
    :param what: what the id is called in an error message.
    :raises EventError: the id is anything else, for example ``None`` or a boolean.
    """
    if isinstance(id, str):
        return checked_name(plain(id), what)
    if not isinstance(id, (int, UUID)) or isinstance(id, bool):
        raise EventError(f"The {what} must be text, a number or a UUID, not {id!r}.")
    return checked_name(str(id), what)


def checked_name(text: str, what: str) -> str:
    """Check the length and the characters of an id or name, and return it.

    :param what: what the text is called in an error message.
    :raises EventError: it is empty, longer than 256 characters, or not valid Unicode.
    """
    if not 0 < len(text) <= _MAX_LENGTH:
        raise EventError(
            f"The {what} must have 1 to {_MAX_LENGTH} characters, not {len(text)}."
        )
    require_encodable(text, what)
    return text


def retain_key(key: str) -> str:
    """Check the ``retain`` key of an event, and return it.

    :raises EventError: it is not text of 1 to 256 characters.
    """
    if not isinstance(key, str):
        raise EventError(f"retain= must be text, not {key!r}.")
    return checked_name(plain(key), "retain key")


def plain(text: str) -> str:
    """Text as a plain ``str``. For an enum member, this is its value, not its name."""
    return str.__str__(text)


def require_encodable(text: str, what: str) -> None:
    """Check that text can be encoded as UTF-8.

    :param what: what the text is called in an error message.
    :raises EventError: it contains half of a surrogate pair.
    """
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EventError(
            f"The {what} contains half of a surrogate pair at index {error.start} and "
            "cannot be encoded as UTF-8. Decode the text with errors='replace' where "
            "it enters your application."
        ) from error
