-- Writes a decision if the revision it was made from is still the last; otherwise returns what is
-- newer. Decides nothing.
--
-- KEYS: the team's state; if it is expected not to exist, also the mark that must exist. ARGV: the
-- expected revision ('?': none, only read) or what the mark says, the head, and the words of the
-- following lists. The head: the first and the first later moment at which the decision is valid,
-- the place of the new calls among ARGV and their number, the length of each list, and for each
-- command how it begins and the number of its other words.
--
-- The lists: the first digits of the replication id of the server that the decision is for, in a
-- cluster, or none. Process that asks for the next turn, or none. Time in place of the server's, or
-- none. Fields of further calls that must not be open. Marks: a call's field, its phase and its new
-- phase. Commands to run at any revision, if the time is valid. Calls that must be overdue: field,
-- phase, key of deadlines, name there, deadline. Commands that write; the new calls, which must not
-- be open either, are among their words: field, record. Commands that read. All use the team's
-- keys.
--
-- A call's record begins with its phase: a letter and a number.
--
-- Turns: a process that was refused twice in a row asks the others to let it go first. This only
-- prevents starvation.
--
-- The answer is a text: 1 written; 0 not written; 2 not written, since the time is not valid; 3 not
-- written, since it is another's turn. Then the time in seconds and microseconds, the number of
-- marks so far, and for each mark 1 done, 0 no such call, 2 another phase. After 0 follow the
-- current revision and the answers of the reading commands. If the decision is for another server,
-- nothing is written, and the answer is 4 and the replication id of this one.

local call, argv, byte, match = redis.call, ARGV, string.byte, string.match
local state, expected, head = KEYS[1], argv[1], argv[2]
local TURN = 3000

local from, before, new, news, servers, askers, times, unopened, marks, always, overdue, writes,
  reads, place = struct.unpack('>ddI4HHHHHHHHHH', head)
local at = 2

-- The next words, and moves on.
local function words(count)
  local first = at + 1
  at = at + count
  return unpack(argv, first, at)
end

-- Runs the next command, or skips it. Common beginnings are not sent: the server hashes every byte
-- of an argument.
local function run(runs)
  local begins, high, low = byte(head, place, place + 2)
  local first = at + 1
  place, at = place + 3, at + high * 256 + low
  if not runs then
    return
  elseif begins == 0 then
    return call(unpack(argv, first, at))
  elseif begins == 1 then
    return call('HSET', state, unpack(argv, first, at))
  elseif begins == 2 then
    return call('HDEL', state, unpack(argv, first, at))
  end
  local team = string.sub(state, 1, -#'state' - 1)
  if begins == 3 then
    return call('ZADD', team .. 'due', unpack(argv, first, at))
  elseif begins == 4 then
    return call('ZREM', team .. 'due', unpack(argv, first, at))
  end
  return call('LPUSH', team .. 'rows', unpack(argv, first, at))
end

if servers > 0 then
  local wanted = words(1)
  local is = match(call('INFO', 'replication'), 'master_replid:(%x+)')
  if string.sub(is, 1, #wanted) ~= wanted then
    return '4 ' .. is
  end
end
local who = askers > 0 and words(1)
local now, seconds, micros
if times > 0 then
  now = tonumber(words(1))
  seconds = string.format('%d', now / 1000000 - now / 1000000 % 1)
  micros = string.format('%d', now % 1000000)
else
  seconds, micros = unpack(call('TIME'))
  now = seconds * 1000000 + micros
end

local found
if unopened == 0 and news < 2 then
  found = call('HMGET', state, 'r', 'k', 't', unpack(argv, new, new + news - 1))
else
  local fields = { words(unopened) }
  for i = new, new + 2 * news - 2, 2 do
    fields[#fields + 1] = argv[i]
  end
  found = call('HMGET', state, 'r', 'k', 't', unpack(fields))
end
local revision, marked, turn = unpack(found, 1, 3)

local HOW_FAR = '^%a%d+'
local outcomes, as_known = '', true
for _ = 1, marks do
  local field, from, to = words(3)
  local record = call('HGET', state, field)
  local is = record and match(record, HOW_FAR)
  if is == from and from ~= to then
    marked = (marked or 0) + 1
    call('HSET', state, field, to .. string.sub(record, #is + 1), 'k', marked)
  end
  local what = (is == from or is == to) and '1' or (record and '2' or '0')
  outcomes, as_known = outcomes .. what, as_known and what ~= '2'
end
local is_timely = now >= from and now < before
for _ = 1, always do
  run(is_timely)
end

local verdict = '0'
if revision == expected and as_known or not revision and KEYS[2] then
  verdict = is_timely and '1' or '2'
end
if verdict == '1' then
  if KEYS[2] and call('GET', KEYS[2]) ~= expected then
    verdict = '0'
  end
  for i = 4, #found do
    verdict = found[i] and '0' or verdict
  end
end
for _ = 1, overdue do
  local field, how_far, due, name, deadline = words(5)
  local record = verdict == '1' and call('HGET', state, field)
  if not record or match(record, HOW_FAR) ~= how_far or call('ZSCORE', due, name) ~= deadline then
    verdict = verdict == '1' and '0' or verdict
  end
end
if turn then
  local whose, ends = match(turn, '^(%S+) (%d+)$')
  -- A turn that begins now ends after TURN: one that ends later began before the clock was set
  -- back.
  if whose == who or now >= tonumber(ends) or now + TURN < tonumber(ends) then
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
local answer = verdict .. ' ' .. seconds .. ' ' .. micros .. ' ' .. (marked or '0')
  .. ' ' .. outcomes
if verdict ~= '0' then
  return answer
end
local answers = { answer, revision or '' }
for _ = 1, reads do
  answers[#answers + 1] = run(true)
end
return answers
