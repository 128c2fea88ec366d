-- Appends events to the event log, to mailboxes and to the retained events of channels.
--
-- KEYS: the event log; then for each event that goes into a mailbox: the mailbox, and the
-- key with the id of the newest entry that it has dropped; and for each retained event: the
-- retained events of its channel, their ids by retain key, and the marker that anything is
-- retained.
-- ARGV: [1] the number of entries that the log keeps; [2], [3] the number of entries that a
-- mailbox keeps, and for how many milliseconds; [4], [5] the number of retain keys of a
-- channel, and the milliseconds for which their events are kept; [6], [7] the names of the
-- fields with the nonce and with the retain key; [8] the number of fields of an entry, and
-- then their names. After them, for each event: the index in KEYS of its mailbox, and of
-- the retained events of its channel (0 for none), and the values of its fields.
-- Returns the ids in the event log.
--
-- Entries of a mailbox have the ids of the event log. If the log was deleted and the clock
-- set back, the mailbox refuses the id; the entry then gets an id made by the server. In
-- this case retained events are deleted, because they belong to the previous log.
local size = tonumber(ARGV[8])
local fields, ids = {}, {}
for n = 1, size do fields[2 * n - 1] = ARGV[8 + n] end

local function content(entry, name)
  for n = 1, #entry, 2 do
    if entry[n] == name then return entry[n + 1] end
  end
end

local function retain(number, id)
  local stream, ids_by_key = KEYS[number], KEYS[number + 1]
  local nonce, key = content(fields, ARGV[6]), content(fields, ARGV[7])
  -- The id of the key's newest event, and the nonces of its last events: an event that is
  -- appended again must not replace a newer one.
  local known = redis.call("HGET", ids_by_key, key)
  known = known and cjson.decode(known) or {}
  for n = 2, #known do
    if nonce ~= "" and known[n] == nonce then return end
  end
  if known[1] then redis.call("XDEL", stream, known[1]) end
  if type(redis.pcall("XADD", stream, id, unpack(fields))) == "table" then
    redis.call("DEL", stream, ids_by_key)
    redis.call("XADD", stream, id, unpack(fields))
  end
  redis.call("HSET", ids_by_key, key, cjson.encode({id, nonce, unpack(known, 2, 8)}))
  if redis.call("XLEN", stream) > tonumber(ARGV[4]) then
    local oldest = redis.call("XRANGE", stream, "-", "+", "COUNT", 1)[1]
    redis.call("XDEL", stream, oldest[1])
    redis.call("HDEL", ids_by_key, content(oldest[2], ARGV[7]) or "")
  end
  redis.call("PEXPIRE", stream, ARGV[5])
  redis.call("PEXPIRE", ids_by_key, ARGV[5])
  redis.call("SET", KEYS[number + 2], "1", "PX", ARGV[5])
end

for i = 9 + size, #ARGV, size + 2 do
  for n = 1, size do fields[2 * n] = ARGV[i + 1 + n] end
  local id = redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[1], "*", unpack(fields))
  local number = tonumber(ARGV[i])
  if number > 0 then
    local mailbox, lost = KEYS[number], KEYS[number + 1]
    if redis.call("XLEN", mailbox) >= tonumber(ARGV[2]) then
      local oldest = redis.call("XRANGE", mailbox, "-", "+", "COUNT", 1)[1][1]
      redis.call("SET", lost, oldest, "PX", ARGV[3])
    end
    local added = redis.pcall("XADD", mailbox, "MAXLEN", ARGV[2], id, unpack(fields))
    if type(added) == "table" then
      redis.call("XADD", mailbox, "MAXLEN", ARGV[2], "*", unpack(fields))
    end
    redis.call("PEXPIRE", mailbox, ARGV[3])
  end
  local retained = tonumber(ARGV[i + 1])
  if retained > 0 then retain(retained, id) end
  ids[#ids + 1] = id
end
return ids
