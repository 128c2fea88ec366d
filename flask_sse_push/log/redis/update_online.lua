-- Updates the set of users who are online, and reports each user who came online or went
-- offline to one worker.
--
-- KEYS: the set of users who are online, this worker's list of reports, the list of
-- workers, and this worker's presence.
-- ARGV: [1] the prefix of presence keys; [2], [3] the grace and a worker's lease, in
-- milliseconds; [4] the milliseconds after which the set expires; [5] the number of reports
-- that this worker has confirmed; [6] 1 to check for users who are offline and for dead
-- workers; [7] the number of users who came; then these users, and the users who have left
-- this worker.
-- Returns the number of reports confirmed before the returned ones, these reports, the
-- milliseconds until a user may be offline (-1 if there is none), and the dead workers.
--
-- A user who leaves one worker may be connected to another. This is checked when the grace
-- has ended. The number of commands depends on the number of workers, not of users.
local online, told, mine = KEYS[1], KEYS[2], KEYS[4]
local confirmed, came = tonumber(ARGV[5]), tonumber(ARGV[7])
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due_at = string.format("%.0f", now + ARGV[2])

-- The first item of the list is the number of reports confirmed before the second item.
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
