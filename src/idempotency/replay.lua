-- Claims and stored responses of one team: one step of one call, all of it or nothing.
--
-- KEYS  1 a sorted set: stored bodies, by when they expire   2 their total size in bytes
--       3 a hash: the ledger's state of the team, which has its open calls
--       4 a sorted set: the newest calls with a stored outcome, by when it expires
--       5 the hash of the key or of the call   6 the hash of the call, if 5 is that of a key
--       last, when outcomes are stored or listed: a sorted set as 4, of one request id
-- ARGV  1 the step, then its arguments
--
-- A claim is named by its call. Hash of a key: claim; print, the call's fingerprint; paid_by, its
-- reservation, once it may have been sent; over, since when the reservation is known to have ended,
-- or 0 when the outcome is lost; head and body once the call has ended. Hash of a call: head and
-- body, or claim and at, the hash of the key that has them.

local BODIES, BYTES, OPEN, KEPT, PLACE, CALL = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
-- A process ends a call's reservation and stores the outcome right after. If the outcome is missing
-- this many milliseconds later, the process is dead and a sweep has ended the reservation. An
-- outcome that comes later still counts.
local STORED_WITHIN = 10000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function forget(place)
  local bytes = redis.call('HSTRLEN', place, 'body')
  if bytes > 0 and redis.call('ZREM', BODIES, bytes .. ' ' .. place) == 1 then
    redis.call('DECRBY', BYTES, bytes)
  end
  redis.call('DEL', place)
end

-- A member of the set is a body's size and its hash.
local function let_go(body)
  local bytes, place = body:match('^(%d+) (.+)$')
  redis.call('DECRBY', BYTES, bytes)
  return place
end

local function make_room(most)
  for _, body in ipairs(redis.call('ZRANGE', BODIES, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)) do
    redis.call('ZREM', BODIES, body)
    let_go(body)
  end
  while tonumber(redis.call('GET', BYTES) or 0) > most do
    local oldest = redis.call('ZPOPMIN', BODIES)[1]
    if not oldest then
      return redis.call('DEL', BYTES)
    end
    redis.call('HDEL', let_go(oldest), 'body')
  end
end

-- Keeps a key at least this long: never shorter than before, because older bodies may live longer.
local function live_on(key, keep)
  if redis.call('PTTL', key) < keep then
    redis.call('PEXPIRE', key, keep)
  end
end

-- `most`: most bytes of a team's bodies. The oldest bodies are dropped; their heads stay.
local function put(place, head, body, keep, most)
  redis.call('HSET', place, 'head', head)
  redis.call('PEXPIRE', place, keep)
  if #body > 0 then
    redis.call('HSET', place, 'body', body)
    redis.call('ZADD', BODIES, now + keep, #body .. ' ' .. place)
    redis.call('INCRBY', BYTES, #body)
  end
  make_room(most)
  live_on(BODIES, keep)
  live_on(BYTES, keep)
end

-- Lists a call with a stored outcome, in the set of the team and in that of the request id.
local function list(call, keep, most)
  for _, set in ipairs({ KEPT, KEYS[#KEYS] }) do
    redis.call('ZADD', set, now + keep, call)
    redis.call('ZREMRANGEBYSCORE', set, '-inf', now)
    redis.call('ZREMRANGEBYRANK', set, 0, -1 - most)
    live_on(set, keep)
  end
end

-- The hash that has the outcome of a call; nil when it is not stored any more.
local function place_of(call_place)
  local claim, at = unpack(redis.call('HMGET', call_place, 'claim', 'at'))
  if not at then
    return call_place
  end
  return redis.call('HGET', at, 'claim') == claim and at or nil
end

-- Whether the call of the key was sent and its outcome is lost.
local function is_lost()
  local paid_by, over = unpack(redis.call('HMGET', PLACE, 'paid_by', 'over'))
  if over == '0' then
    return true
  end
  -- The record of an open call begins with its phase; U: it has ended and its answer is being read.
  local open = paid_by and redis.call('HGET', OPEN, 'c:' .. paid_by)
  if not paid_by or (open and open:sub(1, 1) ~= 'U') then
    redis.call('HDEL', PLACE, 'over')
    return false
  end
  redis.call('HSETNX', PLACE, 'over', now)
  return over and now - over >= STORED_WITHIN
end

local steps = {}

function steps.begin(claim, print, ttl)
  local known = redis.call('HMGET', PLACE, 'claim', 'print', 'head', 'body')
  if not known[1] then
    redis.call('HSET', PLACE, 'claim', claim, 'print', print)
    redis.call('PEXPIRE', PLACE, ttl)
    return { 'first' }
  elseif known[2] ~= print then
    return { 'mismatch' }
  elseif known[3] then
    return { 'finished', known[3], known[4] }
  elseif known[1] == claim then
    return { 'first' }
  end
  return { is_lost() and 'lost' or 'running' }
end

function steps.sent(claim, print, keep)
  local known = redis.call('HGET', PLACE, 'claim')
  if known and known ~= claim then
    return { 'late' }
  end
  redis.call('HSET', PLACE, 'claim', claim, 'print', print, 'paid_by', claim)
  live_on(PLACE, tonumber(keep))
  return { 'sent' }
end

function steps.lose(claim)
  if redis.call('HGET', PLACE, 'claim') == claim then
    redis.call('HSET', PLACE, 'over', 0)
  end
  return { 'lost' }
end

function steps.finish(claim, print, head, body, keep, most, listed)
  keep, most = tonumber(keep), tonumber(most)
  local known = redis.call('HMGET', PLACE, 'claim', 'head')
  forget(CALL)
  list(claim, keep, listed)
  if known[1] and known[1] ~= claim then
    put(CALL, head, body, keep, most)
    return { 'late' }
  end
  if not known[2] then
    redis.call('HSET', PLACE, 'claim', claim, 'print', print)
    put(PLACE, head, body, keep, most)
  end
  redis.call('HSET', CALL, 'claim', claim, 'at', PLACE)
  redis.call('PEXPIRE', CALL, keep)
  return { 'finished' }
end

function steps.release(claim)
  local known = redis.call('HMGET', PLACE, 'claim', 'head')
  if known[1] == claim and not known[2] then
    redis.call('DEL', PLACE)
  end
  return { 'released' }
end

function steps.keep(call, head, body, keep, most, listed)
  keep = tonumber(keep)
  forget(PLACE)
  list(call, keep, listed)
  put(PLACE, head, body, keep, tonumber(most))
  return { 'kept' }
end

function steps.fetch()
  local place = place_of(PLACE)
  local known = place and redis.call('HMGET', place, 'head', 'body') or {}
  if not known[1] then
    return { 'none' }
  end
  return { 'kept', known[1], known[2] }
end

-- Heads, each with the size of its body, newest first.
function steps.list(most)
  local all = { 'listed' }
  for _, call in ipairs(redis.call('ZREVRANGE', PLACE, 0, most - 1)) do
    local place = place_of(string.sub(KEPT, 1, -5) .. 'call:' .. call)
    local head = place and redis.call('HGET', place, 'head')
    if head then
      all[#all + 1], all[#all + 2] = head, tostring(redis.call('HSTRLEN', place, 'body'))
    end
  end
  return all
end

return steps[ARGV[1]](unpack(ARGV, 2))
