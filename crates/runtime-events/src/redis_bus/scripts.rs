//! What has to happen in one step in the server.

/// The scripts, in the order of [`Script`].
pub(super) const SOURCES: [&str; 7] = [APPEND, ANNOUNCE, CLAIM, SAVE, RELEASE, SLOWEST, LAST];

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
