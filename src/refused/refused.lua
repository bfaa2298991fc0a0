-- Adds refused calls of a team, newest first, and forgets the oldest beyond the most that are kept.
-- KEYS: the list. ARGV: the most, milliseconds until all are forgotten, then the calls, oldest
-- first.
redis.call('LPUSH', KEYS[1], unpack(ARGV, 3))
redis.call('LTRIM', KEYS[1], 0, ARGV[1] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
