-- Idempotency keys and kept answers of one team: one step of one call, all of it or nothing.
--
-- KEYS  1 a sorted set: the bodies that are kept, by their end   2 their bytes together   3 the ledger's open reservations
--       4 the place of the key or the request   5 the place of the request, where 4 is that of a key
-- ARGV  1 the step, then what it needs
--
-- A place is a hash. Of a key: claim, print (of what is asked for); once the call may have been sent, paid_by, its
-- reservation; over, since when that is known to have ended, or 0 when nobody will tell the outcome; and, when the call has
-- ended, head and body. Of a request: head and body, or claim and at, the place of the key under which they are.

local BODIES, BYTES, HELD, PLACE, REQUEST = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- Whoever makes a call ends its reservation and tells the outcome at once. Who has not told it so many milliseconds later does
-- not live any more, and a sweep has ended the reservation. Should it live all the same, what it tells still counts.
local TOLD_WITHIN = 10000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function forget(place)
  local bytes = redis.call('HSTRLEN', place, 'body')
  if bytes > 0 and redis.call('ZREM', BODIES, bytes .. ' ' .. place) == 1 then
    redis.call('DECRBY', BYTES, bytes)
  end
  redis.call('DEL', place)
end

-- A member of the set is a body's bytes and its place.
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

-- The count lives as long as the last of the bodies, also when they are kept for a shorter time than before.
local function live_on(key, keep)
  if redis.call('PTTL', key) < keep then
    redis.call('PEXPIRE', key, keep)
  end
end

-- `most`: the bytes of bodies a team may keep. The oldest give way; their heads stay.
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

-- Whether the call of the key was sent and nobody will tell what became of it.
local function is_lost()
  local paid_by, over = unpack(redis.call('HMGET', PLACE, 'paid_by', 'over'))
  if over == '0' then
    return true
  end
  local held = paid_by and redis.call('HGET', HELD, paid_by)
  -- A mark in the place of a reservation says that it has ended.
  if not paid_by or (held and held ~= 'X') then
    redis.call('HDEL', PLACE, 'over')
    return false
  end
  redis.call('HSETNX', PLACE, 'over', now)
  return over and now - over >= TOLD_WITHIN
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

function steps.sent(claim, print, paid_by, keep)
  local known = redis.call('HGET', PLACE, 'claim')
  if known and known ~= claim then
    return { 'late' }
  end
  redis.call('HSET', PLACE, 'claim', claim, 'print', print, 'paid_by', paid_by)
  live_on(PLACE, tonumber(keep))
  return { 'sent' }
end

function steps.lose(claim)
  if redis.call('HGET', PLACE, 'claim') == claim then
    redis.call('HSET', PLACE, 'over', 0)
  end
  return { 'lost' }
end

function steps.finish(claim, print, head, body, keep, most)
  keep, most = tonumber(keep), tonumber(most)
  local known = redis.call('HMGET', PLACE, 'claim', 'head')
  forget(REQUEST)
  if known[1] and known[1] ~= claim then
    put(REQUEST, head, body, keep, most)
    return { 'late' }
  end
  if not known[2] then
    redis.call('HSET', PLACE, 'claim', claim, 'print', print)
    put(PLACE, head, body, keep, most)
  end
  redis.call('HSET', REQUEST, 'claim', claim, 'at', PLACE)
  redis.call('PEXPIRE', REQUEST, keep)
  return { 'finished' }
end

function steps.release(claim)
  local known = redis.call('HMGET', PLACE, 'claim', 'head')
  if known[1] == claim and not known[2] then
    redis.call('DEL', PLACE)
  end
  return { 'released' }
end

function steps.keep(head, body, keep, most)
  forget(PLACE)
  put(PLACE, head, body, tonumber(keep), tonumber(most))
  return { 'kept' }
end

function steps.fetch()
  local known = redis.call('HMGET', PLACE, 'head', 'body', 'claim', 'at')
  if known[4] then
    local claim = known[3]
    known = redis.call('HMGET', known[4], 'head', 'body', 'claim')
    if known[3] ~= claim then
      return { 'none' }
    end
  end
  if not known[1] then
    return { 'none' }
  end
  return { 'kept', known[1], known[2] }
end

return steps[ARGV[1]](unpack(ARGV, 2))
