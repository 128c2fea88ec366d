-- Finds the users whose workers have died, in several calls.
--
-- KEYS: the set of users who are online, and the list of workers.
-- ARGV: the prefix of presence keys, the grace in milliseconds, the cursor of the last call
-- ("0" for the first), and the dead workers.
-- Returns the cursor for the next call; "0" if this was the last.
--
-- Users who are connected to no worker get the time at which their grace ends as their
-- score. The last call removes the dead workers from the list.
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
