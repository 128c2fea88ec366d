"""Reading and clearing the mailboxes, which the log's writer fills."""

from __future__ import annotations

import logging
import time

from ...events import Entry, Position, format_id
from .entries import decode
from .keys import Keys
from .server import Script, Server

_log = logging.getLogger("flask_sse_push")

# KEYS: the mailbox. ARGV: the position up to which, and the first one kept. An event
# that was written twice, its first answer lost, goes with its repeat; answers how many
# events went.
_ACKNOWLEDGE = Script("""
local function nonce(entry)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == "n" and entry[2][i + 1] ~= "" then return entry[2][i + 1] end
  end
  return entry[1]
end
local done, count = {}, 0
for _, entry in ipairs(redis.call("XRANGE", KEYS[1], "-", ARGV[1])) do
  if not done[nonce(entry)] then count = count + 1 end
  done[nonce(entry)] = true
end
if count == 0 then return 0 end
redis.call("XTRIM", KEYS[1], "MINID", "=", ARGV[2])
for _, entry in ipairs(redis.call("XRANGE", KEYS[1], "-", "+")) do
  if done[nonce(entry)] then redis.call("XDEL", KEYS[1], entry[1]) end
end
return count
""")


class Mailbox:
    """What users have not acknowledged: one stream for each, with the log's ids.

    :param seconds: age from which an event is no longer given out.
    """

    def __init__(self, server: Server, keys: Keys, seconds: float) -> None:
        self._server = server
        self._keys = keys
        self._keep_ms = int(seconds * 1000)

    def unread(self, user_id: str, after: Position) -> list[Entry]:
        """A user's events after a position, each once.

        :raises BackendError: the server did not answer.
        """
        oldest = (time.time_ns() // 1_000_000 - self._keep_ms, 0)
        start = f"({format_id(max(after, oldest))}"
        key = self._keys.mailbox(user_id)
        [answer] = self._server.call(("XRANGE", key, start, "+"))
        found: dict[str, Entry] = {}
        for id, fields in answer:
            try:
                position, event = decode(id, fields)
            except ValueError as error:
                _log.warning("Entry %r of a mailbox is no event: %s", id, error)
            else:
                # A nonce is never as short as an id, nor is an id ever a nonce.
                found.setdefault(event.nonce or format_id(position), event.at(position))
        return list(found.values())

    def acknowledge(self, user_id: str, up_to: Position) -> int:
        """Remove a user's events up to and including a position; returns how many.

        :raises BackendError: the server did not answer.
        """
        first_kept = (up_to[0], up_to[1] + 1)
        removed: int = self._server.run(
            _ACKNOWLEDGE,
            [self._keys.mailbox(user_id)],
            [format_id(up_to), format_id(first_kept)],
        )
        return removed
