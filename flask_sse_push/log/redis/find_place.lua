-- Checks whether the event log still has all entries after the last one that a reader read.
--
-- KEYS: the event log.
-- ARGV: the last position read, as milliseconds and sequence number; then the fields of a
-- marker, names and values alternating.
-- Returns nothing if the entry at the position still exists, because then all later entries
-- do, too. Otherwise it returns the first entry after the position. If there is none, it
-- appends the marker and returns that; other readers then find this marker. There is always
-- a free position between the last one read and the marker.
local at = ARGV[1] .. "-" .. ARGV[2]
if #redis.call("XRANGE", KEYS[1], at, at) > 0 then return {} end
local after = redis.call("XRANGE", KEYS[1], "(" .. at, "+", "COUNT", 1)
if after[1] then return after[1] end
local now = redis.call("TIME")
local id = "*"
if now[1] * 1000 + now[2] / 1000 <= ARGV[1] + 1 then
  id = string.format("%.0f-1", ARGV[1] + 1)
end
local made = redis.pcall("XADD", KEYS[1], id, unpack(ARGV, 3))
if type(made) == "table" then
  made = redis.call("XADD", KEYS[1], "*", unpack(ARGV, 3))
end
return {made, {unpack(ARGV, 3)}}
