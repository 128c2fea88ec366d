-- Removes single events from a mailbox.
--
-- KEYS: the mailbox, and the key with the id of the newest entry that it has dropped.
-- ARGV: the name of the field with an entry's nonce; then the positions.
-- Returns the number of events removed. If an event was written twice because an answer was
-- lost, both entries are removed and count as one.
--
-- A client that acknowledges an event was already told of the gap before it, so the id of a
-- dropped entry is deleted if that entry is older.
local function nonce(entry)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == ARGV[1] and entry[2][i + 1] ~= "" then return entry[2][i + 1] end
  end
  return entry[1]
end
local function parse(id)
  local ms, seq = string.match(id, "(%d+)-(%d+)")
  return tonumber(ms), tonumber(seq)
end
local function is_before(id, other)
  local ms, seq = parse(id)
  local other_ms, other_seq = parse(other)
  return ms < other_ms or (ms == other_ms and seq < other_seq)
end
local dropped = redis.call("GET", KEYS[2])
local wanted, done, count = {}, {}, 0
for i = 2, #ARGV do wanted[ARGV[i]] = true end
local entries = redis.call("XRANGE", KEYS[1], "-", "+")
for _, entry in ipairs(entries) do
  if wanted[entry[1]] then
    if not done[nonce(entry)] then count = count + 1 end
    done[nonce(entry)] = true
    if dropped and is_before(dropped, entry[1]) then redis.call("DEL", KEYS[2]) end
  end
end
for _, entry in ipairs(entries) do
  if done[nonce(entry)] then redis.call("XDEL", KEYS[1], entry[1]) end
end
return count
