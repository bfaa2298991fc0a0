-- Keys and suspensions that operators changed at run time, in Redis. One step per call.
-- KEYS: entries (hash: name -> entry), version (string), used (hash: key id -> seconds since 1970).
-- ARGV: the step, then its arguments, described below.
local entries, version, used = KEYS[1], KEYS[2], KEYS[3]
local step = ARGV[1]

-- Every entry, with their version.
if step == 'read' then
  return { redis.call('GET', version) or '', redis.call('HGETALL', entries) }
end

-- ARGV: name, expected content ('': does not exist), new content, new version.
if step == 'replace' then
  local there = redis.call('HGET', entries, ARGV[2]) or ''
  -- Repeated after a lost answer.
  if there == ARGV[4] then return 1 end
  if there ~= ARGV[3] then return 0 end
  redis.call('HSET', entries, ARGV[2], ARGV[4])
  redis.call('SET', version, ARGV[5])
  return 1
end

-- ARGV: key id, seconds, key id, seconds, ...
if step == 'note_used' then
  for at = 2, #ARGV, 2 do
    local noted = tonumber(redis.call('HGET', used, ARGV[at]) or '0')
    if tonumber(ARGV[at + 1]) > noted then
      redis.call('HSET', used, ARGV[at], ARGV[at + 1])
    end
  end
  return 1
end

return redis.error_reply('unknown step')
