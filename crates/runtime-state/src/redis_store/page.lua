-- Reads one page of one partition, of one moment. Writes nothing; started by EVALSHA_RO.
--
-- KEYS  1 revision  2 cells  3 paths of cells  4 logs  5 paths of logs; to read a log also 6 its stream;
--       for the partitions only 1 their set
-- ARGV  kind, …

local call = redis.call
local kind = ARGV[1]

if not string.find(call('INFO', 'replication'), 'role:master', 1, true) then
  return { 'replica' }
end

-- The values of a hash at the fields `from` and on, in pieces: Lua's stack has an end.
local function values(hash, fields, from)
  local found = {}
  for first = from, #fields, 1000 do
    local last = math.min(first + 999, #fields)
    local piece = call('HMGET', hash, unpack(fields, first, last))
    for place = 1, last - first + 1 do
      found[#found + 1] = piece[place]
    end
  end
  return found
end

if kind == 'get' then
  return { 'ok', values(KEYS[2], ARGV, 2) }
end

if kind == 'cells' or kind == 'logs' then
  local hash, paths = KEYS[2], KEYS[3]
  if kind == 'logs' then
    hash, paths = KEYS[4], KEYS[5]
  end
  local page = call('ZRANGEBYLEX', paths, ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
  -- A value whose path is missing is in no page. That is told where a page would say that nothing follows.
  if #page < tonumber(ARGV[4]) and call('HLEN', hash) > call('ZCARD', paths) then
    return { 'damaged', kind }
  end
  return { 'ok', page, values(hash, page, 1) }
end

if kind == 'read' then
  local extent = call('HGET', KEYS[4], ARGV[2])
  local entries = {}
  if not extent then
    if call('EXISTS', KEYS[6]) == 1 then
      return { 'damaged', 'log' }
    end
    return { 'ok', extent, entries }
  end
  local first, next = string.match(extent, '^(%d+) (%d+)$')
  if first and ARGV[4] ~= '0' then
    -- Every entry that the extent has, and no other one: as a commit looks before it writes.
    local expected = math.max(tonumber(first), tonumber(ARGV[3]))
    local last = math.min(expected + tonumber(ARGV[4]), tonumber(next))
    for place, entry in ipairs(call('XRANGE', KEYS[6], ARGV[3] .. '-0', '+', 'COUNT', ARGV[4])) do
      if entry[1] ~= string.format('%.0f-0', expected) then
        return { 'damaged', 'log' }
      end
      expected = expected + 1
      entries[place] = entry[2][2]
    end
    if expected < last or expected > math.max(last, tonumber(first), tonumber(ARGV[3])) then
      return { 'damaged', 'log' }
    end
  end
  return { 'ok', extent, entries }
end

if kind == 'partitions' then
  return { 'ok', call('SMEMBERS', KEYS[1]) }
end

if kind == 'is-written' then
  return { 'ok', call('EXISTS', KEYS[1]) }
end

-- Whether this user may do all that the scripts do. Answers what it may not.
if kind == 'may' then
  for place = 2, #ARGV do
    local words = {}
    for word in string.gmatch(ARGV[place], '%S+') do
      words[#words + 1] = word
    end
    if not redis.acl_check_cmd(unpack(words)) then
      return { 'no', ARGV[place] }
    end
  end
  return { 'ok' }
end
