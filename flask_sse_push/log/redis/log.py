"""Writing the log, one stream, and with it the mailboxes."""

from __future__ import annotations

from collections.abc import Sequence

from ...events import Event, Position, channel_member, is_user_channel
from .entries import encode_fields, position_of
from .keys import Keys
from .server import Script, Server

# KEYS: the log, then for events as they need it: a mailbox; what is retained on a
# channel, the ids of it by key, and the marker that something is retained. ARGV:
# entries the log keeps, entries and milliseconds a mailbox keeps, keys of a channel and
# milliseconds for which their events are retained; then for each event the number of
# its mailbox among KEYS (0: none), that of what is retained on its channel, and its
# seven fields.
#
# A mailbox takes the log's id; only where the log has been lost and the clock set back,
# so that the id would be none, it takes one of its own. What is retained is dropped
# then: it was the state of another log.
#
# A retry that comes after a newer event of the key must not replace that one: of each
# key the nonces of the last events are kept.
_APPEND = Script("""
local function retain(number, id, fields, key, nonce)
  local stream, ids = KEYS[number], KEYS[number + 1]
  local known = redis.call("HGET", ids, key)
  known = known and cjson.decode(known) or {}
  for i = 2, #known do
    if nonce ~= "" and known[i] == nonce then return end
  end
  if known[1] then redis.call("XDEL", stream, known[1]) end
  if type(redis.pcall("XADD", stream, id, unpack(fields))) == "table" then
    redis.call("DEL", stream, ids)
    redis.call("XADD", stream, id, unpack(fields))
  end
  redis.call("HSET", ids, key, cjson.encode({id, nonce, unpack(known, 2, 8)}))
  if redis.call("XLEN", stream) > tonumber(ARGV[4]) then
    local oldest = redis.call("XRANGE", stream, "-", "+", "COUNT", 1)[1]
    redis.call("XDEL", stream, oldest[1])
    for i = 1, #oldest[2], 2 do
      if oldest[2][i] == "r" then redis.call("HDEL", ids, oldest[2][i + 1]) end
    end
  end
  redis.call("PEXPIRE", stream, ARGV[5])
  redis.call("PEXPIRE", ids, ARGV[5])
  redis.call("SET", KEYS[number + 2], "1", "PX", ARGV[5])
end

local answers = {}
for i = 6, #ARGV, 9 do
  local nonce, key = ARGV[i + 5], ARGV[i + 8]
  local fields = {"c", ARGV[i + 2], "e", ARGV[i + 3], "d", ARGV[i + 4], "n", nonce,
                  "s", ARGV[i + 6], "k", ARGV[i + 7], "r", key}
  local id = redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[1], "*", unpack(fields))
  local mailbox = KEYS[tonumber(ARGV[i])]
  if mailbox then
    local added = redis.pcall("XADD", mailbox, "MAXLEN", ARGV[2], id, unpack(fields))
    if type(added) == "table" then
      redis.call("XADD", mailbox, "MAXLEN", ARGV[2], "*", unpack(fields))
    end
    redis.call("PEXPIRE", mailbox, ARGV[3])
  end
  if key ~= "" then retain(tonumber(ARGV[i + 1]), id, fields, key, nonce) end
  answers[#answers + 1] = id
end
return answers
""")


class Log:
    """Appends events.

    :param size: entries the log keeps, and up to a hundred more.
    :param mailbox_size: entries a mailbox keeps; 0 for no mailboxes.
    :param mailbox_seconds: how long a mailbox is kept that gets nothing more.
    :param retained_size: keys of one channel whose newest events are retained.
    :param retained_seconds: how long they are retained when none of them is replaced.
    """

    def __init__(
        self,
        server: Server,
        keys: Keys,
        *,
        size: int,
        mailbox_size: int,
        mailbox_seconds: float,
        retained_size: int,
        retained_seconds: float,
    ) -> None:
        self._server = server
        self._keys = keys
        self._has_mailboxes = mailbox_size > 0
        self._limits = (
            size,
            mailbox_size,
            int(mailbox_seconds * 1000),
            retained_size,
            int(retained_seconds * 1000),
        )

    def append(self, events: Sequence[Event]) -> list[Position]:
        """Append events in one step, to the log, to their users' mailboxes and to what
        is retained.

        :raises BackendError: the server did not confirm.
        """
        keys = [self._keys.log]
        arguments: list[str | bytes | int | float] = [*self._limits]
        for event in events:
            number = 0
            if event.store and self._has_mailboxes and is_user_channel(event.target):
                keys.append(self._keys.mailbox(channel_member(event.target)))
                number = len(keys)
            retained = 0
            if event.retain is not None:
                retained = len(keys) + 1
                keys += (
                    self._keys.retained(event.target),
                    self._keys.retained_ids(event.target),
                    self._keys.retaining,
                )
            arguments += (number, retained)
            arguments.extend(encode_fields(event))
        ids = self._server.run(_APPEND, keys, arguments)
        return [position_of(id) for id in ids]
