-- Removes a mailbox's events up to and including a position.
--
-- KEYS: the mailbox.
-- ARGV: the position, the first position that stays, the name of an entry's nonce.
-- Answers how many events were removed. An event that was written twice, its first
-- answer lost, goes with its repeat and counts once.
local function nonce(entry)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == ARGV[3] and entry[2][i + 1] ~= "" then return entry[2][i + 1] end
  end
  return entry[1]
end
local done, count = {}, 0
for _, entry in ipairs(redis.call("XRANGE", KEYS[1], "-", ARGV[1])) do
  if not done[nonce(entry)] then count = count + 1 end
  done[nonce(entry)] = true
end
if count == 0 then return 0 end
redis.call("XTRIM", KEYS[1], "MINID", "=", ARGV[2])
for _, entry in ipairs(redis.call("XRANGE", KEYS[1], "-", "+")) do
  if done[nonce(entry)] then redis.call("XDEL", KEYS[1], entry[1]) end
end
return count
