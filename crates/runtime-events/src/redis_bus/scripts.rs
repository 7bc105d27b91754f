//! What has to happen in one step in the server.

/// The scripts, in the order of [`Script`].
pub(super) const SOURCES: [&str; 10] =
    [APPEND, ANNOUNCE, CLAIM, SAVE, RELEASE, SLOWEST, LAST, STAND, FOUND, DEAL];

/// A script.
#[derive(Clone, Copy, Debug)]
pub(super) enum Script {
    Append,
    Announce,
    Claim,
    Save,
    Release,
    Slowest,
    Last,
    Stand,
    Found,
    Deal,
}

/// Appends an event once. KEYS: events, ids, order. ARGV: id, entry, how many ids are kept, how many events are kept
/// (empty: all), how long all is kept in ms (empty: for ever).
const APPEND: &str = r"
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known then return known end
local id
if ARGV[4] == '' then
  id = redis.call('XADD', KEYS[1], '0-*', 'e', ARGV[2])
else
  id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '0-*', 'e', ARGV[2])
end
local place = string.sub(id, 3)
redis.call('HSET', KEYS[2], ARGV[1], place)
if redis.call('RPUSH', KEYS[3], ARGV[1]) > tonumber(ARGV[3]) then
  redis.call('HDEL', KEYS[2], redis.call('LPOP', KEYS[3]))
end
if ARGV[5] ~= '' then
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[5]) end
end
return place
";

/// Says that there is a topic. KEYS: topics, announced. ARGV: the topic.
const ANNOUNCE: &str = r"
if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', '10000', '*', 't', ARGV[1])
end
return 1
";

/// Takes a durable subscription. KEYS: lease, cursor. ARGV: token, ms. Answers with its record, or with false.
const CLAIM: &str = r"
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return {0, redis.call('PTTL', KEYS[1])} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'token', ARGV[1])
return {1, redis.call('HGET', KEYS[2], 'record')}
";

/// Saves a cursor, as the one who took it last. KEYS: lease, cursor, names. ARGV: token, ms, record, done, name.
const SAVE: &str = r"
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'record', ARGV[3], 'done', ARGV[4])
redis.call('SADD', KEYS[3], ARGV[5])
return 1
";

/// Gives a durable subscription back. KEYS: lease. ARGV: token.
const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
";

/// The last place that all durable subscriptions at work have done, or an empty text. KEYS: names. ARGV: prefix.
const SLOWEST: &str = r"
local slowest = ''
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.call('EXISTS', ARGV[1] .. 'lease:' .. name) == 1 then
    local done = redis.call('HGET', ARGV[1] .. 'sub:' .. name, 'done')
    if done and (slowest == '' or tonumber(done) < tonumber(slowest)) then slowest = done end
  end
end
return slowest
";

/// The last place that a topic ever had, also when all of it is trimmed. KEYS: events.
const LAST: &str = r"
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for nth = 1, #info, 2 do
  if info[nth] == 'last-generated-id' then return tonumber(string.sub(info[nth + 1], 3)) end
end
return 0
";

/// The last place that a topic ever had, and up to which a subscription has done all. KEYS: events, cursor.
const STAND: &str = r"
local last = 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for nth = 1, #info, 2 do
    if info[nth] == 'last-generated-id' then last = tonumber(string.sub(info[nth + 1], 3)) end
  end
end
return {last, tonumber(redis.call('HGET', KEYS[2], 'done') or '0')}
";

/// Makes a group, unless it is there, and answers with its record. KEYS: cursor, names. ARGV: record, done, name.
const FOUND: &str = r"
if redis.call('HEXISTS', KEYS[1], 'record') == 0 then
  redis.call('HSET', KEYS[1], 'record', ARGV[1], 'done', ARGV[2])
  redis.call('SADD', KEYS[2], ARGV[3])
end
return redis.call('HGET', KEYS[1], 'record')
";

/// Deals the slots of a group to the processes that work it. KEYS: lease, cursor, share. ARGV: token, ms, slots,
/// `stay` or `leave`, and then of each slot that the process has: slot, `save`, `keep` or `give`, record, done.
///
/// The share says by `t` and slot who has it, by `e` until when, by `d` up to where all is done, and by `m` and token
/// until when a process is there. Parts differ by one slot at most, and the first by their tokens have the larger ones.
///
/// Answers with the number of slots that are this process's part, and those that it has: slot, and the record of one
/// that it did not name.
const DEAL: &str = r"
local token, lease, slots = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local till = string.format('%d', now + lease)
local share, flat = {}, redis.call('HGETALL', KEYS[3])
for nth = 1, #flat, 2 do share[flat[nth]] = flat[nth + 1] end
local changed, removed = {}, {}
local function set(field, value)
  share[field] = value
  table.insert(changed, field)
  table.insert(changed, value)
end
local function unset(field)
  share[field] = nil
  table.insert(removed, field)
end

local named, given = {}, {}
for nth = 5, #ARGV, 4 do
  local slot, act = ARGV[nth], ARGV[nth + 1]
  named[slot] = true
  given[slot] = act == 'give'
  if share['t' .. slot] == token then
    if act ~= 'keep' then
      redis.call('HSET', KEYS[2], 'r' .. slot, ARGV[nth + 2])
      set('d' .. slot, ARGV[nth + 3])
    end
    if act == 'give' then
      unset('t' .. slot)
      unset('e' .. slot)
    end
  end
end

if ARGV[4] == 'stay' then set('m' .. token, till) else unset('m' .. token) end
local there, gone = {}, {}
for field, value in pairs(share) do
  if string.sub(field, 1, 1) == 'm' then
    if tonumber(value) > now then table.insert(there, string.sub(field, 2)) else table.insert(gone, field) end
  end
end
for _, field in ipairs(gone) do unset(field) end
table.sort(there)
local part = 0
for rank, one in ipairs(there) do
  if one == token then
    part = math.floor(slots / #there)
    if rank <= slots % #there then part = part + 1 end
  end
end

local has = 0
for slot = 0, slots - 1 do
  if share['t' .. slot] == token then has = has + 1 end
end
local done = redis.call('HGET', KEYS[2], 'done') or '0'
local mine, slowest = {}, nil
for slot = 0, slots - 1 do
  local holder = share['t' .. slot]
  local free = not holder or (holder ~= token and tonumber(share['e' .. slot] or '0') <= now)
  if free and has < part and not given[tostring(slot)] then
    has = has + 1
    holder = token
    set('t' .. slot, token)
    if not share['d' .. slot] then set('d' .. slot, done) end
  end
  if holder == token then
    set('e' .. slot, till)
    local record = ''
    if not named[tostring(slot)] then
      record = redis.call('HGET', KEYS[2], 'r' .. slot) or redis.call('HGET', KEYS[2], 'record') or ''
    end
    table.insert(mine, slot)
    table.insert(mine, record)
  end
  local here = tonumber(share['d' .. slot] or done)
  if not slowest or here < slowest then slowest = here end
end
if #removed > 0 then redis.call('HDEL', KEYS[3], unpack(removed)) end
if #changed > 0 then redis.call('HSET', KEYS[3], unpack(changed)) end
redis.call('HSET', KEYS[2], 'done', string.format('%d', slowest))
if #there > 0 then
  redis.call('SET', KEYS[1], there[1], 'PX', lease)
else
  redis.call('DEL', KEYS[1])
end
return {part, mine}
";
