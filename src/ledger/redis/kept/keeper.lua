-- Writes what was worked out from a revision if it is still the last, or says what is newer. It judges nothing.
--
-- KEYS: the team's state. ARGV: the revision expected ('?': none, only read), the first moment and the first one after the
-- last at which that is right, the time in place of the server's or 0; packed: marks, each a field, what is kept there and
-- what is to be, commands to run in any case, checks, each what a command must answer and the command, and commands that
-- write; packed: commands that read; who asks; and for how many microseconds it asks for the next turn, or 0. All commands
-- are on the team's keys.
--
-- A turn: who was refused twice in a row asks that the others let it go first. Nothing rests on it but that nobody starves.
--
-- The answer: 1 written, 0 not written, 2 not written, the time is another, 3 not written, it is another's turn; the time, in seconds and microseconds; the
-- revision that was there; how often something was marked; of each mark 1 done, 0 nothing is there, 2 something else is; and,
-- if not written, what the reading commands answered.

local state, expected = KEYS[1], ARGV[1]
local marks, always, checks, writes = unpack(cmsgpack.unpack(ARGV[5]))
local call = redis.call
local time = call('TIME')
local seconds, micros = time[1], time[2]
local now = tonumber(ARGV[4])
if now > 0 then
  seconds, micros = string.format('%d', now / 1000000 - now / 1000000 % 1), string.format('%d', now % 1000000)
else
  now = seconds * 1000000 + micros
end
local revision, marked, turn = unpack(call('HMGET', state, 'r', 'k', 't'))

local told, as_known = {}, true
for i = 1, #marks do
  local field, from, to = unpack(marks[i])
  local is = call('HGET', state, field)
  if is == from and from ~= to then
    marked = (marked or 0) + 1
    call('HSET', state, field, to, 'k', marked)
  end
  told[i] = (is == from or is == to) and 1 or (is and 2 or 0)
  as_known = as_known and told[i] < 2
end
for i = 1, #always do
  call(unpack(always[i]))
end

local verdict = ((revision or '') == expected and as_known) and 1 or 0
if verdict == 1 and (now < tonumber(ARGV[2]) or now >= tonumber(ARGV[3])) then
  verdict = 2
end
if turn then
  local whose, ends = string.match(turn, '^(%S+) (%d+)$')
  if whose == ARGV[7] or now >= tonumber(ends) then
    turn = false
    if verdict == 1 and #writes > 0 then
      call('HDEL', state, 't')
    end
  elseif verdict == 1 and #writes > 0 then
    verdict = 3
  end
end
if verdict == 0 and not turn and tonumber(ARGV[8]) > 0 then
  call('HSET', state, 't', string.format('%s %d', ARGV[7], now + ARGV[8]))
end
for i = 1, verdict == 1 and #checks or 0 do
  local is = call(unpack(checks[i][2]))
  for _, one in ipairs(type(is) ~= 'table' and { is } or is.ok and { is.ok } or is) do
    if one ~= checks[i][1] then
      verdict = 0
    end
  end
end
local found = {}
if verdict == 1 then
  for i = 1, #writes do
    call(unpack(writes[i]))
  end
elseif verdict == 0 then
  local reads = cmsgpack.unpack(ARGV[6])
  for i = 1, #reads do
    found[i] = call(unpack(reads[i]))
  end
end
return { verdict, seconds, micros, revision or '', tonumber(marked or 0), told, found }
