-- Writes what was worked out from a revision if it is still the last, or says what is newer. It judges nothing.
--
-- KEYS: the team's state. ARGV: the revision expected ('?': none, only read), the first moment and the first one after the
-- last at which that is right, the time in place of the server's or 0, and packed: marks, each a field, what is kept there
-- and what is to be; commands to run in any case; checks, each what a command must answer and the command; commands that
-- write; commands that read. All commands are on the team's keys.
--
-- The answer: 1 written, 0 not written, 2 not written, the time is another; the time; the revision; the number of changes;
-- of each mark 1 done, 0 nothing is there, 2 something else is; and, if not written, what the reading commands answered.

local state = KEYS[1]
local expected, first, last, fixed = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local marks, always, checks, writes, reads = unpack(cmsgpack.unpack(ARGV[5]))
local call = redis.call
local time = call('TIME')
local now = fixed > 0 and fixed or time[1] * 1000000 + time[2]

local function run(commands)
  local answers = {}
  for i = 1, #commands do
    answers[i] = call(unpack(commands[i]))
  end
  return answers
end

local marked, changed, as_known = {}, false, true
for i = 1, #marks do
  local field, from, to = unpack(marks[i])
  local is = call('HGET', state, field)
  if is == from and from ~= to then
    call('HSET', state, field, to)
    changed = true
  end
  marked[i] = (is == from or is == to) and 1 or (is and 2 or 0)
  as_known = as_known and marked[i] < 2
end
run(always)

local revision = call('HGET', state, 'r') or ''
local verdict = (revision == expected and as_known) and 1 or 0
if verdict == 1 and (now < first or now >= last) then
  verdict = 2
end
for i = 1, verdict == 1 and #checks or 0 do
  local is = call(unpack(checks[i][2]))
  for _, one in ipairs(type(is) ~= 'table' and { is } or is.ok and { is.ok } or is) do
    if one ~= checks[i][1] then
      verdict = 0
    end
  end
end
if verdict == 1 and #writes > 0 then
  run(writes)
  changed, revision = true, ''
end
local changes = changed and call('HINCRBY', state, 'n', 1) or tonumber(call('HGET', state, 'n') or 0)
return { verdict, string.format('%d', now), revision, changes, marked, verdict == 0 and run(reads) or {} }
