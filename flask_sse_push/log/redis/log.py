"""Writing the log, one stream, and with it the mailboxes."""

from __future__ import annotations

from collections.abc import Sequence

from ...events import Event, Position, channel_member, is_user_channel
from .entries import encode_fields, position_of
from .keys import Keys
from .server import Script, Server

# KEYS: the log, then mailboxes. ARGV: entries the log keeps, entries and milliseconds
# a mailbox keeps, then for each event the number of its mailbox among KEYS (0: none)
# and its six fields. A mailbox takes the log's id; only where the log has been lost and
# the clock set back, so that the id would be none, it takes one of its own.
_APPEND = Script("""
local ids = {}
for i = 4, #ARGV, 7 do
  local fields = {"c", ARGV[i + 1], "e", ARGV[i + 2], "d", ARGV[i + 3],
                  "n", ARGV[i + 4], "s", ARGV[i + 5], "k", ARGV[i + 6]}
  local id = redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[1], "*", unpack(fields))
  local mailbox = KEYS[tonumber(ARGV[i])]
  if mailbox then
    local added = redis.pcall("XADD", mailbox, "MAXLEN", ARGV[2], id, unpack(fields))
    if type(added) == "table" then
      redis.call("XADD", mailbox, "MAXLEN", ARGV[2], "*", unpack(fields))
    end
    redis.call("PEXPIRE", mailbox, ARGV[3])
  end
  ids[#ids + 1] = id
end
return ids
""")


class Log:
    """Appends events.

    :param size: entries the log keeps, and up to a hundred more.
    :param mailbox_size: entries a mailbox keeps; 0 for no mailboxes.
    :param mailbox_seconds: how long a mailbox is kept that gets nothing more.
    """

    def __init__(
        self,
        server: Server,
        keys: Keys,
        *,
        size: int,
        mailbox_size: int,
        mailbox_seconds: float,
    ) -> None:
        self._server = server
        self._keys = keys
        self._has_mailboxes = mailbox_size > 0
        self._limits = (size, mailbox_size, int(mailbox_seconds * 1000))

    def append(self, events: Sequence[Event]) -> list[Position]:
        """Append events in one step, to the log and to their users' mailboxes.

        :raises BackendError: the server did not confirm.
        """
        keys = [self._keys.log]
        arguments: list[str | bytes | int | float] = [*self._limits]
        for event in events:
            number = 0
            if event.store and self._has_mailboxes and is_user_channel(event.target):
                keys.append(self._keys.mailbox(channel_member(event.target)))
                number = len(keys)
            arguments.append(number)
            arguments.extend(encode_fields(event))
        ids = self._server.run(_APPEND, keys, arguments)
        return [position_of(id) for id in ids]
