//! Layout 1 of the keys in Redis.

use runtime_state::{MemoryStore, RedisStore};
use runtime_testkit::block_on;
use runtime_testkit::peers::RedisServer;

use super::batches::{batches, commit, is_as, is_as_kept, write};

/// Every key, what it is, and its value in the words of the command that makes it; each word as in [`super::batches`].
const KEYS: &str = include_str!("../../golden/redis-1.txt");

/// What there is, sorted, as lines.
const LIST: &str = r"
    local call = redis.call
    local function word(text)
      return '=' .. string.gsub(text, '[^!-Z%[%]^-~]', function(c) return string.format('\\x%02x', string.byte(c)) end)
    end
    local function words(list) for place, text in ipairs(list) do list[place] = word(text) end return list end
    local function pairs_of(list)
      local found = {}
      for place = 1, #list, 2 do found[#found + 1] = word(list[place]) .. ' ' .. word(list[place + 1]) end
      table.sort(found)
      return found
    end
    local keys = call('KEYS', '*')
    table.sort(keys)
    for place, key in ipairs(keys) do
      local kind, found = call('TYPE', key).ok, nil
      if kind == 'string' then found = { word(call('GET', key)) }
      elseif kind == 'hash' then found = pairs_of(call('HGETALL', key))
      elseif kind == 'zset' then found = pairs_of(call('ZRANGE', key, 0, -1, 'WITHSCORES'))
      elseif kind == 'list' then found = words(call('LRANGE', key, 0, -1))
      elseif kind == 'set' then found = call('SMEMBERS', key) table.sort(found) words(found)
      elseif kind == 'stream' then
        found = {}
        for _, entry in ipairs(call('XRANGE', key, '-', '+')) do
          found[#found + 1] = word(entry[1]) .. ' ' .. table.concat(words(entry[2]), ' ')
        end
      end
      keys[place] = word(key) .. ' ' .. kind .. ' ' .. table.concat(found, ' ')
    end
    return keys";

/// Makes one key of its line.
const MAKE: &str = r"
    local call = redis.call
    local function text(word)
      return (string.gsub(string.sub(word, 2), '\\x(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end))
    end
    local key, kind = text(ARGV[1]), ARGV[2]
    local at = 3
    while at <= #ARGV do
      local function next() at = at + 1 return text(ARGV[at - 1]) end
      if kind == 'string' then call('SET', key, next())
      elseif kind == 'hash' then local field = next() call('HSET', key, field, next())
      elseif kind == 'zset' then local member = next() call('ZADD', key, next(), member)
      elseif kind == 'list' then call('RPUSH', key, next())
      elseif kind == 'set' then call('SADD', key, next())
      else local id, field = next(), next() call('XADD', key, id, field, next()) end
    end
    return 'made'";

fn listing(server: &RedisServer) -> String {
    server.say(&["EVAL", LIST, "0"]) + "\n"
}

#[test]
fn keys_that_layout_1_wrote_are_a_store_that_goes_on() {
    block_on(async {
        let server = RedisServer::start();
        for line in KEYS.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(server.say(&[&["EVAL", MAKE, "0"], &words[..]].concat()), "made");
        }
        assert_eq!(listing(&server), KEYS, "what was made is what was listed");
        let memory = MemoryStore::new();
        write(&memory).await;

        let store = RedisStore::open(&server.uri(0)).unwrap();

        // What landed is known, and so is its answer.
        for batch in batches() {
            assert_eq!(commit(&store, batch.clone()).await, commit(&memory, batch).await);
        }
        is_as(&store, &memory).await;
    });
}

#[test]
fn todays_redis_store_writes_the_keys_of_layout_1() {
    block_on(async {
        let server = RedisServer::start();
        let store = RedisStore::open(&server.uri(0)).unwrap();
        write(&store).await;

        is_as_kept("redis-1.txt", &listing(&server), KEYS);
    });
}
