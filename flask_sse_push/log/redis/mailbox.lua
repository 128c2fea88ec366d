-- What the scripts about mailboxes share; their texts follow this one.
--
-- ARGV[1]: the name of an entry's nonce field.
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
