-- Applies one batch to one partition, or refuses it. The only script that writes.
--
-- Redis takes nothing back when a script fails. So everything that can refuse the batch is looked at before the first
-- write, the kinds of the keys too; and the first write is where Redis itself refuses for want of memory, for a disk
-- that fails, or because it has become a replica.
--
-- KEYS  1 revision  2 cells  3 paths of cells  4 logs  5 paths of logs  6 ids  7 order of ids; then the streams of the
--       logs that the batch writes to. All of them have the hash tag of the partition.
-- ARGV  id, level, how many before an owner (0 or 1): [path, token], how many conditions: [kind, path, value]…,
--       how many writes: [kind, path, …]…
--
-- A cell is "REVISION VALUE", a log is "FIRST NEXT", an answer is "REVISION LEVEL SEQ…". Numbers are decimal.

local EXACT = 9007199254740992 -- 2^53
local HALF = 134217728 -- 2^27
local WINDOW = 4096

local call = redis.call
local revision_key, cells, cell_paths, logs, log_paths, ids, order =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]

local function decimal(number)
  return string.format('%.0f', number)
end

if not string.find(call('INFO', 'replication'), 'role:master', 1, true) then
  return { 'replica' }
end

local id, level = ARGV[1], ARGV[2]
local known = call('HGET', ids, id)
if known then
  return { 'ok', known }
end

local at = 4
if ARGV[3] == '1' then
  local cell = call('HGET', cells, ARGV[4])
  local from = cell and string.find(cell, ' ', 1, true)
  if not from or string.sub(cell, from + 1, from + 16) ~= ARGV[5] then
    return { 'fenced' }
  end
  at = 6
end

-- Logs as the batch finds them, and later as it leaves them.
local extents = {}
local function extent(path)
  local found = extents[path]
  if not found then
    local text = call('HGET', logs, path)
    if text then
      local first, next = string.match(text, '^(%d+) (%d+)$')
      found = { first = tonumber(first), next = tonumber(next), is_there = true, is_good = first ~= nil }
    else
      found = { first = 1, next = 1, is_there = false, is_good = true }
    end
    extents[path] = found
  end
  return found
end

local conditions = tonumber(ARGV[at])
at = at + 1
for condition = 1, conditions do
  local kind, path, value = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  local holds
  if kind == 'absent' then
    holds = call('HEXISTS', cells, path) == 0
  elseif kind == 'revision' then
    local cell = call('HGET', cells, path)
    holds = cell and string.sub(cell, 1, #value + 1) == value .. ' '
  else
    local log = extent(path)
    if not log.is_good then
      return { 'damaged', 'logs' }
    end
    if kind == 'next' then
      holds = decimal(log.next) == value
    else
      holds = log.next - log.first < tonumber(value)
    end
  end
  if not holds then
    return { 'conflict', decimal(condition - 1) }
  end
end

-- The number that a text is, or nothing. More than 2^53 is none.
local function number(text)
  local sign, zeros, digits = string.match(text, '^([+-]?)(0*)(%d*)$')
  if not sign or #zeros + #digits == 0 or #digits > 16 then
    return nil
  end
  local found = tonumber(digits) or 0
  if found > EXACT or (found == EXACT and digits ~= '9007199254740992') then
    return nil
  end
  return sign == '-' and -found or found
end

-- A number and one that comes in halves, exactly; or nothing when there are more than 2^53.
local function sum(before, high, low)
  local before_high = math.floor(before / HALF)
  local new_low = before - before_high * HALF + low
  local carry = math.floor(new_low / HALF)
  local new_high = before_high + high + carry
  new_low = new_low - carry * HALF
  local limit = HALF / 2
  if new_high < -limit or new_high > limit or (new_high == limit and new_low > 0) then
    return nil
  end
  return decimal(new_high * HALF + new_low)
end

local writes = tonumber(ARGV[at])
local begin = at + 1
local revision = call('GET', revision_key)
if writes == 0 then
  return { 'ok', (revision or '0') .. ' ' .. level }
end

-- What the batch's own writes leave in cells: a text, or false for nothing.
local left, sums = {}, {}
local writes_cells, writes_logs = false, false
at = begin
for place = 1, writes do
  local kind, path = ARGV[at], ARGV[at + 1]
  if kind == 'put' then
    writes_cells = true
    left[path] = ARGV[at + 2]
    at = at + 3
  elseif kind == 'delete' then
    writes_cells = true
    left[path] = false
    at = at + 2
  elseif kind == 'add' then
    writes_cells = true
    local before = left[path]
    if before == nil then
      before = call('HGET', cells, path)
      before = before and string.sub(before, (string.find(before, ' ', 1, true) or 0) + 1)
    end
    local count = 0
    if before then
      count = number(before)
    end
    if not count then
      return { 'damaged', 'number', decimal(place) }
    end
    local after = sum(count, tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
    if not after then
      return { 'large', decimal(place) }
    end
    left[path] = after
    sums[place] = after
    at = at + 4
  else
    writes_logs = true
    local log, stream = extent(path), KEYS[tonumber(ARGV[at + 2])]
    if not log.is_good or call('XLEN', stream) ~= log.next - log.first then
      return { 'damaged', 'log', decimal(place) }
    end
    if kind == 'append' then
      at = at + 4 + tonumber(ARGV[at + 3])
    elseif kind == 'trim' then
      at = at + 4
    else
      at = at + 3
    end
  end
end
if writes_cells and call('HLEN', cells) ~= call('ZCARD', cell_paths) then
  return { 'damaged', 'cells' }
end
if writes_logs and call('HLEN', logs) ~= call('ZCARD', log_paths) then
  return { 'damaged', 'logs' }
end
local remembered = call('LLEN', order)
if call('HLEN', ids) ~= remembered then
  return { 'damaged', 'ids' }
end
revision = tonumber(revision or 0)
if not revision then
  return { 'damaged', 'revision' }
end

-- From here on nothing refuses.
revision = decimal(revision + 1)
local answer = revision .. ' ' .. level

local function put(path, value)
  if call('HSET', cells, path, revision .. ' ' .. value) == 1 then
    call('ZADD', cell_paths, 0, path)
  end
end

local function keep(path, log)
  if call('HSET', logs, path, decimal(log.first) .. ' ' .. decimal(log.next)) == 1 then
    call('ZADD', log_paths, 0, path)
  end
  log.is_there = true
end

at = begin
for place = 1, writes do
  local kind, path = ARGV[at], ARGV[at + 1]
  if kind == 'put' then
    put(path, ARGV[at + 2])
    at = at + 3
  elseif kind == 'add' then
    put(path, sums[place])
    at = at + 4
  elseif kind == 'delete' then
    if call('HDEL', cells, path) == 1 then
      call('ZREM', cell_paths, path)
    end
    at = at + 2
  else
    local log, stream = extents[path], KEYS[tonumber(ARGV[at + 2])]
    if kind == 'append' then
      local entries = tonumber(ARGV[at + 3])
      at = at + 4
      for entry = at, at + entries - 1 do
        call('XADD', stream, decimal(log.next) .. '-0', 'e', ARGV[entry])
        log.next = log.next + 1
      end
      at = at + entries
      if entries > 0 then
        keep(path, log)
      end
      answer = answer .. ' ' .. decimal(log.next - 1)
    elseif kind == 'trim' then
      local first = math.min(tonumber(ARGV[at + 3]), log.next)
      at = at + 4
      if log.is_there and first > log.first then
        if first == log.next then
          call('UNLINK', stream)
        else
          call('XTRIM', stream, 'MINID', '=', decimal(first) .. '-0')
        end
        log.first = first
        keep(path, log)
      end
    else
      at = at + 3
      call('UNLINK', stream)
      if call('HDEL', logs, path) == 1 then
        call('ZREM', log_paths, path)
      end
      extents[path] = { first = 1, next = 1, is_there = false, is_good = true }
    end
  end
end

call('SET', revision_key, revision)
call('RPUSH', order, id)
call('HSET', ids, id, answer)
if remembered >= WINDOW then
  call('HDEL', ids, call('LPOP', order))
end
return { 'ok', answer }
