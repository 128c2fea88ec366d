"""Which users came and went, told to exactly one worker.

A sorted set holds the users who are online. The score is infinite while a user is
connected to any worker; else it is the time, by the server's clock, at which the user
counts as gone. Whichever worker asks first after that time is told, and the user is
taken out in the same step. Likewise for one who comes and was not in the set.

What a worker is told stays in a list of its own until it has confirmed it, so that a
lost answer loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice

from ..backend import Tell
from .keys import Keys
from .server import Script, Server

# Users in one call of the script.
_MOST_USERS = 500
# Milliseconds for which one worker alone looks after those that have died.
_REAPING_MS = 10_000
# Milliseconds after which the set is dropped where no worker lives any more.
_KEPT_MS = 86_400_000

# KEYS: the set of users, what this worker was told, the list of workers, this worker's
# presence. ARGV: start of the names of presence keys, milliseconds of grace and of a
# worker's lease, milliseconds the set is kept, how much this worker has confirmed, 1 to
# look for users who are gone and for dead workers, the number of users who have come,
# these, and those who have left this worker. Answers how much was confirmed before what
# the worker is told, that, milliseconds until somebody may be gone (-1: nobody), and
# the dead workers.
#
# A user who leaves one worker may be connected to another: that is looked at when the
# time is over. The number of commands depends on that of the workers, not of the users.
_UPDATE = Script("""
local online, told, mine = KEYS[1], KEYS[2], KEYS[4]
local confirmed, came = tonumber(ARGV[5]), tonumber(ARGV[7])
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due_at = string.format("%.0f", now + ARGV[2])

-- The first item of the list is how much was confirmed before the second.
local before = tonumber(redis.call("LINDEX", told, 0))
if not before then
  before = confirmed
  redis.call("RPUSH", told, before)
elseif confirmed > before then
  redis.call("LTRIM", told, confirmed - before, -1)
  redis.call("LSET", told, 0, confirmed)
  before = confirmed
end
redis.call("PEXPIRE", told, ARGV[3])

local function scored(score, first, last)
  local items = {}
  for i = first, last do
    items[#items + 1] = score
    items[#items + 1] = ARGV[i]
  end
  return unpack(items)
end
if came > 0 then
  local scores = redis.call("ZMSCORE", online, unpack(ARGV, 8, 7 + came))
  for i = 1, came do
    if not scores[i] then redis.call("RPUSH", told, "+" .. ARGV[7 + i]) end
  end
  redis.call("ZADD", online, scored("inf", 8, 7 + came))
end
if #ARGV > 7 + came then
  redis.call("ZADD", online, "XX", scored(due_at, 8 + came, #ARGV))
end

local dead = {}
if ARGV[6] == "1" then
  local live = {mine}
  for _, worker in ipairs(redis.call("ZRANGE", KEYS[3], 0, -1)) do
    local key = ARGV[1] .. worker
    if redis.call("EXISTS", key) == 0 then
      if key ~= mine then dead[#dead + 1] = worker end
    elseif key ~= mine then
      live[#live + 1] = key
    end
  end
  local due = redis.call("ZRANGEBYSCORE", online, "-inf", now, "LIMIT", 0, 500)
  local is_connected = {}
  if #due > 0 then
    for _, key in ipairs(live) do
      for i, count in ipairs(redis.call("HMGET", key, unpack(due))) do
        if count then is_connected[i] = true end
      end
    end
  end
  for i, user in ipairs(due) do
    if is_connected[i] then
      redis.call("ZADD", online, "inf", user)
    else
      redis.call("ZREM", online, user)
      redis.call("RPUSH", told, "-" .. user)
    end
  end
end
redis.call("PEXPIRE", online, ARGV[4])

local wait = -1
local first = redis.call("ZRANGE", online, 0, 0, "WITHSCORES")
if first[2] and first[2] ~= "inf" then
  wait = math.max(tonumber(first[2]) - now, 0)
end
return {before, redis.call("LRANGE", told, 1, -1), wait, dead}
""")

# KEYS: the set of users, the list of workers. ARGV: start of the names of presence
# keys, milliseconds of grace, where to go on, and the workers that are dead. Looks at
# some users, and gives those a time who are connected to no worker. Answers where to go
# on; at the end the dead workers leave the list.
_REAP = Script("""
local online, workers = KEYS[1], KEYS[2]
local time = redis.call("TIME")
local gone = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
gone = string.format("%.0f", gone)
local page = redis.call("ZSCAN", online, ARGV[3], "COUNT", 500)
local users, is_connected = {}, {}
for i = 1, #page[2], 2 do
  if page[2][i + 1] == "inf" then users[#users + 1] = page[2][i] end
end
if #users > 0 then
  for _, worker in ipairs(redis.call("ZRANGE", workers, 0, -1)) do
    for i, count in ipairs(redis.call("HMGET", ARGV[1] .. worker, unpack(users))) do
      if count then is_connected[i] = true end
    end
  end
end
for i, user in ipairs(users) do
  if not is_connected[i] then redis.call("ZADD", online, "XX", gone, user) end
end
if page[1] == "0" then
  for i = 4, #ARGV do
    if redis.call("EXISTS", ARGV[1] .. ARGV[i]) == 0 then
      redis.call("ZREM", workers, ARGV[i])
    end
  end
end
return page[1]
""")


class Online:
    """This worker's part in telling who came and who went. Not safe for threads.

    :param worker: the worker's id.
    :param grace: seconds for which a user may be without a connection.
    """

    def __init__(self, server: Server, keys: Keys, worker: str, grace: float) -> None:
        self._server = server
        self._keys = keys
        self._worker = worker
        self._grace_ms = int(grace * 1000)
        self._tell: Tell | None = None
        # Users of this worker, and those who have come or left since the last answer.
        self._users: set[str] = set()
        self._came: set[str] = set()
        self._left: set[str] = set()
        # How much of what it was told this worker has dealt with, and whether the
        # server knows.
        self._told = 0
        self._is_confirmed = True
        # When this worker last looked who is gone, and when somebody may be, on the
        # monotonic clock.
        self._looked = self._next_look = 0.0

    def start(self, tell: Tell) -> None:
        """Say who is to be told; before that nothing is done."""
        self._tell = tell

    @property
    def is_due(self) -> bool:
        """Whether there is something to ask even though nothing has changed here."""
        return not self._is_confirmed or time.monotonic() >= self._next_look

    def note(self, changes: Mapping[str, int]) -> None:
        """Note how many connections users have here now."""
        for user, count in changes.items():
            if count:
                self._left.discard(user)
                if user not in self._users:
                    self._users.add(user)
                    self._came.add(user)
            elif user in self._users:
                self._users.remove(user)
                self._left.add(user)

    def repeat(self) -> None:
        """Say everything anew the next time: the server may have lost it."""
        self._came |= self._users

    def update(self, lease: float, period: float) -> None:
        """Say what has changed, and tell of those who came or went.

        :param lease: seconds after which a worker that is silent is taken for dead.
        :param period: seconds between two looks for such workers.
        :raises BackendError: the server did not answer; all of it is said again.
        """
        while True:
            came = list(islice(self._came, _MOST_USERS))
            is_all = len(came) == len(self._came)
            # Whoever came and left meanwhile must come first.
            left = list(islice(self._left, _MOST_USERS)) if is_all else []
            now = time.monotonic()
            looks = now >= min(self._next_look, self._looked + period)
            dead = self._update(came, left, lease, looks=looks)
            if looks:
                self._looked = now
            self._came.difference_update(came)
            self._left.difference_update(left)
            if dead:
                self._reap(dead)
            if not self._came and not self._left:
                return

    def stop(self, lease: float) -> None:
        """Leave this worker's users to the others.

        :raises BackendError: the server did not answer.
        """
        users = list(self._users | self._left)
        for start in range(0, len(users), _MOST_USERS):
            left = users[start : start + _MOST_USERS]
            self._update([], left, lease, looks=False)
        self._server.call(("DEL", self._keys.told(self._worker)))

    def _update(
        self, came: list[str], left: list[str], lease: float, *, looks: bool
    ) -> list[bytes]:
        keys = self._keys
        before, told, wait, dead = self._server.run(
            _UPDATE,
            [
                keys.online,
                keys.told(self._worker),
                keys.workers,
                keys.presence(self._worker),
            ],
            [
                keys.presence(""),
                self._grace_ms,
                int(lease * 1000),
                _KEPT_MS,
                self._told,
                int(looks),
                len(came),
                *came,
                *left,
            ],
        )
        self._is_confirmed = not told
        wait_seconds = wait / 1000 if wait >= 0 else float("inf")
        self._next_look = time.monotonic() + wait_seconds
        for item in told[max(self._told - before, 0) :]:
            text = item.decode()
            if self._tell is not None:
                self._tell(text[1:], text[0] == "+")
        self._told = before + len(told)
        return list(dead)

    def _reap(self, dead: list[bytes]) -> None:
        """See to the users of workers that ended without a word."""
        lock = (self._keys.reaping, self._worker, "NX", "PX", _REAPING_MS)
        [is_first] = self._server.call(("SET", *lock))
        if not is_first:
            return
        cursor: bytes | str = "0"
        while True:
            cursor = self._server.run(
                _REAP,
                [self._keys.online, self._keys.workers],
                [self._keys.presence(""), self._grace_ms, cursor, *dead],
            )
            if cursor in (b"0", "0"):
                break
        self._next_look = 0.0
