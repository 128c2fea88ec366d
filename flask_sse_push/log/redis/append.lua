-- Appends events to the log, each also to its user's mailbox if it has one.
--
-- KEYS: the log, then mailboxes.
-- ARGV: entries the log keeps, entries and milliseconds a mailbox keeps, values of one
-- event; then for each event the number of its mailbox among KEYS (0: none) and its
-- values: names and contents of its fields by turns.
-- Answers the ids in the log.
--
-- A mailbox takes the log's id. Only where the log has been lost and the clock set back,
-- so that the mailbox would refuse the id, it takes one of its own.
local values = tonumber(ARGV[4])
local ids = {}
for i = 5, #ARGV, values + 1 do
  local id = redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[1], "*",
                        unpack(ARGV, i + 1, i + values))
  local mailbox = KEYS[tonumber(ARGV[i])]
  if mailbox then
    local added = redis.pcall("XADD", mailbox, "MAXLEN", ARGV[2], id,
                              unpack(ARGV, i + 1, i + values))
    if type(added) == "table" then
      redis.call("XADD", mailbox, "MAXLEN", ARGV[2], "*",
                 unpack(ARGV, i + 1, i + values))
    end
    redis.call("PEXPIRE", mailbox, ARGV[3])
  end
  ids[#ids + 1] = id
end
return ids
