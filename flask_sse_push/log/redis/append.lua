-- Appends events to the log, each also to its user's mailbox if it has one.
--
-- KEYS: the log, then mailboxes.
-- ARGV: entries the log keeps, entries and milliseconds a mailbox keeps, how many fields
-- an entry has, and their names; then for each event the number of its mailbox among
-- KEYS (0: none) and what its fields hold.
-- Answers the ids in the log.
--
-- A mailbox takes the log's id. Only where the log has been lost and the clock set back,
-- so that the mailbox would refuse the id, it takes one of its own.
local size = tonumber(ARGV[4])
local fields, ids = {}, {}
for n = 1, size do fields[2 * n - 1] = ARGV[4 + n] end
for i = 5 + size, #ARGV, size + 1 do
  for n = 1, size do fields[2 * n] = ARGV[i + n] end
  local id = redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[1], "*", unpack(fields))
  local mailbox = KEYS[tonumber(ARGV[i])]
  if mailbox then
    local added = redis.pcall("XADD", mailbox, "MAXLEN", ARGV[2], id, unpack(fields))
    if type(added) == "table" then
      redis.call("XADD", mailbox, "MAXLEN", ARGV[2], "*", unpack(fields))
    end
    redis.call("PEXPIRE", mailbox, ARGV[3])
  end
  ids[#ids + 1] = id
end
return ids
