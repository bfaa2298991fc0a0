-- Whether what this store says of a team is to be believed by a process that has never seen the team in it.
--
-- KEYS: the set of teams, the hash of reigns. ARGV: the reign (of the primary that has the team's keys, which in a cluster
-- may be another server than the one that runs this), the team or nothing, the time in microseconds or 0, how long a reign
-- must have been known, 1 where an empty store is held until an operator accepts it, 1 when one accepts it now.
--
-- The answer: 0, the reign is too new; 1, it is believed; 2, it is held. Then whether it was heard of for the first time.
--
-- A store that is flushed loses its reigns as well, and one that loads an older copy, or is promoted, has a reign that is
-- in no copy. What was lost with it is brought by those who saw it, in the time that a new reign is not believed.

local TEAMS, REIGNS = KEYS[1], KEYS[2]
local reign, team, fixed_now, must_be, hold, accepts = unpack(ARGV)
local ANY_TEAM = '*'
-- Reigns do not come back: of so many, all but the last are history.
local REIGNS_MOST = 4096

local time = redis.call('TIME')
local now = tonumber(fixed_now) > 0 and tonumber(fixed_now) or time[1] * 1000000 + time[2]

local since = redis.call('HGET', REIGNS, reign)
local is_new = since and 0 or 1
if not since then
  since = now
  if redis.call('HLEN', REIGNS) >= REIGNS_MOST then
    redis.call('DEL', REIGNS)
  end
  redis.call('HSET', REIGNS, reign, string.format('%d', now))
end

local accepted = reign .. ' ' .. team
if accepts == '1' then
  redis.call('SADD', TEAMS, ANY_TEAM)
  redis.call('HSET', REIGNS, accepted, 1)
  return { 1, is_new }
end
if team ~= '' and redis.call('HEXISTS', REIGNS, accepted) == 1 then
  return { 1, is_new }
end
local may_have_new = redis.call('SISMEMBER', TEAMS, ANY_TEAM) == 1
if hold == '1' and not may_have_new then
  return { 2, is_new }
end
if now < since + must_be then
  return { 0, is_new }
end
-- A store whose memory is full would refuse it, be it there or not.
if not may_have_new then
  redis.call('SADD', TEAMS, ANY_TEAM)
end
return { 1, is_new }
