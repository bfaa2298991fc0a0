-- Whether a process that has never seen a team believes what this store has of it.
--
-- KEYS: the set of teams, the hash of replication ids. ARGV: the replication id of the primary that
-- has the team's keys (in a cluster maybe not the server that runs this), the team or nothing, the
-- time in microseconds or 0, how long an id must have been known, 1 if an empty store is held until
-- an operator accepts it, 1 if one accepts it now.
--
-- The answer: 0 the id is too new, 1 trusted, 2 held. Then whether the id was seen for the first
-- time.
--
-- A flushed store loses its ids too. A store that loads an older copy, or is promoted, has an id
-- that is in no copy. What was lost is restored by replicas that saw it, while the new id is not
-- trusted yet.

local TEAMS, IDS = KEYS[1], KEYS[2]
local id, team, fixed_now, must_be, hold, accepts = unpack(ARGV)
local ANY_TEAM = '*'
-- Ids never come back, so all but the last are history.
local IDS_MAX = 4096

local time = redis.call('TIME')
local now = tonumber(fixed_now) > 0 and tonumber(fixed_now) or time[1] * 1000000 + time[2]

local since = redis.call('HGET', IDS, id)
local is_new = since and 0 or 1
if not since then
  since = now
  if redis.call('HLEN', IDS) >= IDS_MAX then
    redis.call('DEL', IDS)
  end
  redis.call('HSET', IDS, id, string.format('%d', now))
end

local accepted = id .. ' ' .. team
if accepts == '1' then
  redis.call('SADD', TEAMS, ANY_TEAM)
  redis.call('HSET', IDS, accepted, 1)
  return { 1, is_new }
end
if team ~= '' and redis.call('HEXISTS', IDS, accepted) == 1 then
  return { 1, is_new }
end
local may_have_new = redis.call('SISMEMBER', TEAMS, ANY_TEAM) == 1
if hold == '1' and not may_have_new then
  return { 2, is_new }
end
if now < since + must_be then
  return { 0, is_new }
end
-- A store with full memory would refuse the write even if the member exists.
if not may_have_new then
  redis.call('SADD', TEAMS, ANY_TEAM)
end
return { 1, is_new }
