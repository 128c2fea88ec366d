-- Changes who is online, and tells one worker of each user who came or went.
--
-- KEYS: the set of users who are online, what this worker was told, the list of workers,
-- this worker's presence.
-- ARGV: start of the names of presence keys, milliseconds of grace and of a worker's lease,
-- milliseconds the set is kept, how much this worker has confirmed, 1 to look for users who
-- are gone and for dead workers, the number of users who have come, these users, and those
-- who have left this worker.
-- Answers how much was confirmed before what the worker is told, what it is told,
-- milliseconds until somebody may be gone (-1: nobody), and the dead workers.
--
-- A user who leaves one worker may be connected to another: that is looked at when the
-- grace is over. The number of commands depends on that of the workers, not of the users.
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
