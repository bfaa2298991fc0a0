-- Sets a mark beside a team's keys, and says when.
--
-- KEYS: the mark. ARGV: how long it stays, in seconds.

local time = redis.call('TIME')
local now = string.format('%d', time[1] * 1000000 + time[2])
redis.call('SET', KEYS[1], now, 'EX', ARGV[1])
return now
