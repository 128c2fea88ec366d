-- Tells a reader whether the log still has all entries after the last one it read.
--
-- KEYS: the log.
-- ARGV: the last position read, as milliseconds and number, and the fields of a marker:
-- names and contents by turns.
-- Answers nothing when the entry at the position is still there: all after it is, too.
-- Otherwise the first entry after it, which is the marker, appended now, where there is
-- none. Whoever comes second finds the marker of the first. A marker leaves room for a
-- position between itself and the last one read.
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
