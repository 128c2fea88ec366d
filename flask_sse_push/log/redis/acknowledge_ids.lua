-- Removes single events from a mailbox.
--
-- KEYS: the mailbox, and the key with the id of the newest entry that it has dropped.
-- ARGV: the name of the field with an entry's nonce; then the positions.
-- Returns the number of events removed. If an event was written twice because an answer was
-- lost, both entries are removed and count as one.
--
-- A client that acknowledges an event was already told of the gap before it, so the id of a
-- dropped entry is deleted if that entry is older.
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
