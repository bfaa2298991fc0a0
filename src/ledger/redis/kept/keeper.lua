-- Writes what was worked out from a revision if it is still the last, or says what is newer. It judges nothing.
--
-- KEYS: the team's state. ARGV: the revision expected ('?': none, only read), the first moment and the first one after the
-- last at which that is right, the time in place of the server's or 0, who asks, and for how many microseconds it asks for the
-- next turn, or 0. Then come lists, each behind the number of its items, which are lists of words: marks, each a field, what is
-- kept there and what is to be; commands to run in any case; checks, each what a command must answer ('=..', or '-': nothing)
-- and the command; commands that write; commands that read. All commands are on the team's keys.
--
-- A turn: who was refused twice in a row asks that the others let it go first. Nothing rests on it but that nobody starves.
--
-- The answer: 1 written, 0 not written, 2 not written, the time is another, 3 not written, it is another's turn; the time, in
-- seconds and microseconds; the revision that was there; how often something was marked; of each mark 1 done, 0 nothing is
-- there, 2 something else is; and, if not written, what the reading commands answered.

local call, argv = redis.call, ARGV
local state, expected = KEYS[1], argv[1]
local time = call('TIME')
local seconds, micros = time[1], time[2]
local now = tonumber(argv[4])
if now > 0 then
  seconds, micros = string.format('%d', now / 1000000 - now / 1000000 % 1), string.format('%d', now % 1000000)
else
  now = seconds * 1000000 + micros
end
local revision, marked, turn = unpack(call('HMGET', state, 'r', 'k', 't'))

local at = 7
local told, as_known = {}, true
for i = 1, argv[at] do
  local field, from, to = argv[at + 2], argv[at + 3], argv[at + 4]
  local is = call('HGET', state, field)
  if is == from and from ~= to then
    marked = (marked or 0) + 1
    call('HSET', state, field, to, 'k', marked)
  end
  told[i] = (is == from or is == to) and 1 or (is and 2 or 0)
  as_known = as_known and told[i] < 2
  at = at + 4
end

-- Runs a list of commands, or passes over it.
local function run(runs, answers)
  at = at + 1
  for i = 1, argv[at] do
    local last = at + 1 + argv[at + 1]
    if runs then
      answers[i] = call(unpack(argv, at + 2, last))
    end
    at = last
  end
  return answers
end
run(true, {})

local verdict = ((revision or '') == expected and as_known) and 1 or 0
if verdict == 1 and (now < tonumber(argv[2]) or now >= tonumber(argv[3])) then
  verdict = 2
end
at = at + 1
for _ = 1, argv[at] do
  local last = at + 1 + argv[at + 1]
  if verdict == 1 then
    local is = call(unpack(argv, at + 3, last))
    for _, one in ipairs(type(is) == 'table' and is or { is }) do
      if (one and '=' .. one or '-') ~= argv[at + 2] then
        verdict = 0
      end
    end
  end
  at = last
end
if turn then
  local whose, ends = string.match(turn, '^(%S+) (%d+)$')
  -- One that ends much later was left before the clock was set back.
  if whose == argv[5] or now >= tonumber(ends) or now + 1000000 < tonumber(ends) then
    turn = false
    if verdict == 1 and argv[at + 1] ~= '0' then
      call('HDEL', state, 't')
    end
  elseif verdict == 1 and argv[at + 1] ~= '0' then
    verdict = 3
  end
end
if verdict == 0 and not turn and tonumber(argv[6]) > 0 then
  call('HSET', state, 't', string.format('%s %d', argv[5], now + argv[6]))
end
run(verdict == 1, {})
local found = run(verdict == 0, {})
return { verdict, seconds, micros, revision or '', tonumber(marked or 0), told, found }
