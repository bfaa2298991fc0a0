-- Writes what was worked out from a revision if it is still the last, or says what is newer. It judges nothing.
--
-- KEYS: the team's state; where nothing of it is expected, also the mark without which it is not made. ARGV: the revision
-- expected ('?': none, only read), the first moment and the first one after the last at which that is right, and numbers of two
-- bytes each: how many items each list has that follows, in the order in which they come. The lists:
--
-- Who asks for the next turn, or nobody. The time in place of the server's, or none. Calls that must not be open: their fields.
-- Marks: a call's field, how far it has come and is to come. Commands to run in any case. Calls that must be overdue: field, how
-- far it has come, the key of deadlines, the call's name there, its deadline. Commands that write; commands that read. A command
-- is itself a list, of words. All are on the team's keys.
--
-- A call's record begins with how far it has come: a letter and a number.
--
-- A turn: who was refused twice in a row asks that the others let it go first. Nothing rests on it but that nobody starves.
--
-- The answer is a text: 1 written, 0 not written, 2 not written, the time is another, 3 not written, it is another's turn; the
-- time, in seconds and microseconds; how often something was marked; of each mark 1 done, 0 nothing is there, 2 something else
-- is. If 0, that text is followed by the revision that is there, and by what the reading commands answered.

local call, argv, match = redis.call, ARGV, string.match
local state, expected = KEYS[1], argv[1]
local TURN = 3000

local numbers, place, at = { string.byte(argv[4], 1, -1) }, 0, 4
local function number()
  place = place + 2
  return numbers[place - 1] * 256 + numbers[place]
end

-- The next so many words, behind which it goes on.
local function words(count)
  local first = at + 1
  at = at + count
  return unpack(argv, first, at)
end

local who = number() > 0 and words(1)
local now, seconds, micros
if number() > 0 then
  now = tonumber(words(1))
  seconds, micros = string.format('%d', now / 1000000 - now / 1000000 % 1), string.format('%d', now % 1000000)
else
  seconds, micros = unpack(call('TIME'))
  now = seconds * 1000000 + micros
end

local found = call('HMGET', state, 'r', 'k', 't', words(number()))
local revision, marked, turn = unpack(found, 1, 3)

local HOW_FAR = '^%a%d+'
local told, as_known = '', true
for _ = 1, number() do
  local field, from, to = words(3)
  local record = call('HGET', state, field)
  local is = record and match(record, HOW_FAR)
  if is == from and from ~= to then
    marked = (marked or 0) + 1
    call('HSET', state, field, to .. string.sub(record, #is + 1), 'k', marked)
  end
  local what = (is == from or is == to) and '1' or (record and '2' or '0')
  told, as_known = told .. what, as_known and what ~= '2'
end

-- Runs the next command, or passes over it.
local function run(runs)
  if runs then
    return call(words(number()))
  end
  at = at + number()
end
for _ = 1, number() do
  run(true)
end

local verdict = '0'
if revision == expected and as_known or not revision and expected == '' then
  verdict = (now < tonumber(argv[2]) or now >= tonumber(argv[3])) and '2' or '1'
end
if verdict == '1' then
  if KEYS[2] and call('GET', KEYS[2]) ~= '1' then
    verdict = '0'
  end
  for i = 4, #found do
    verdict = found[i] and '0' or verdict
  end
end
for _ = 1, number() do
  local field, how_far, due, name, deadline = words(5)
  local record = verdict == '1' and call('HGET', state, field)
  if not record or match(record, HOW_FAR) ~= how_far or call('ZSCORE', due, name) ~= deadline then
    verdict = verdict == '1' and '0' or verdict
  end
end
local writes = number()
if turn then
  local whose, ends = match(turn, '^(%S+) (%d+)$')
  -- One that ends much later was left before the clock was set back.
  if whose == who or now >= tonumber(ends) or now + 1000000 < tonumber(ends) then
    turn = false
    if verdict == '1' and writes > 0 then
      call('HDEL', state, 't')
    end
  elseif verdict == '1' and writes > 0 then
    verdict = '3'
  end
end
if verdict == '0' and not turn and who then
  call('HSET', state, 't', string.format('%s %d', who, now + TURN))
end
for _ = 1, writes do
  run(verdict == '1')
end
local told_of_all = verdict .. ' ' .. seconds .. ' ' .. micros .. ' ' .. (marked or '0') .. ' ' .. told
if verdict ~= '0' then
  return told_of_all
end
local answers = { told_of_all, revision or '' }
for _ = 1, number() do
  answers[#answers + 1] = run(true)
end
return answers
