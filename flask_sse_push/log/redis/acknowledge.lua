-- Removes events from mailboxes, from each up to and including a position.
--
-- KEYS: for each mailbox, its key and the key with the id of the newest entry that it has
-- dropped.
-- ARGV: the name of the field with an entry's nonce; then for each mailbox the position,
-- and the first position to keep.
-- Returns the number of events removed. If an event was written twice because an answer was
-- lost, both entries are removed and count as one.
local function acknowledge(mailbox, lost, up_to, first_kept)
  local dropped = redis.call("GET", lost)
  if dropped and is_before(dropped, first_kept) then redis.call("DEL", lost) end
  local done, count = {}, 0
  for _, entry in ipairs(redis.call("XRANGE", mailbox, "-", up_to)) do
    if not done[nonce(entry)] then count = count + 1 end
    done[nonce(entry)] = true
  end
  if count == 0 then return 0 end
  redis.call("XTRIM", mailbox, "MINID", "=", first_kept)
  for _, entry in ipairs(redis.call("XRANGE", mailbox, "-", "+")) do
    if done[nonce(entry)] then redis.call("XDEL", mailbox, entry[1]) end
  end
  return count
end
local total = 0
for i = 1, #KEYS, 2 do
  total = total + acknowledge(KEYS[i], KEYS[i + 1], ARGV[i + 1], ARGV[i + 2])
end
return total
