-- Part of a team's rows, newest first, from the two lists: paid and free calls. A row begins with
-- its order among all. In the previous layout it comes after the time of settlement, or is missing,
-- and the row is older than all others (see upgrade_text.rs).
--
-- KEYS: both lists, the team's state. ARGV: how many rows to skip, and how many to return.
-- The answer: number of rows, the team's record, then the rows.

local PAID, FREE, TEAM = KEYS[1], KEYS[2], KEYS[3]
local skip, limit = ARGV[1] + 0, ARGV[2] + 0
local call, match = redis.call, string.match
local PLACE = '^(' .. string.rep('%d', 30) .. ') '
local OLD_PLACE = '^%S+ %S+ %d+ %d+ (%d+) '

local paid, free = call('LLEN', PAID), call('LLEN', FREE)
local answer = { paid + free, call('HGET', TEAM, 'm') or '' }
if limit == 0 or skip >= paid + free then
  return answer
end

local function order_of(row)
  return row and (match(row, PLACE) or match(row, OLD_PLACE)) or ''
end

-- How many of the skipped rows are paid ones: bisects between these bounds by whether one more paid
-- row is newer than the last skipped free one.
local from, most = math.max(0, skip - free), math.min(skip, paid)
while from < most do
  local half = math.floor((from + most) / 2)
  if order_of(call('LINDEX', PAID, half)) > order_of(call('LINDEX', FREE, skip - half - 1)) then
    from = half + 1
  else
    most = half
  end
end

local one = call('LRANGE', PAID, from, from + limit - 1)
local other = call('LRANGE', FREE, skip - from, skip - from + limit - 1)
local at, beside = 1, 1
while #answer < limit + 2 and (one[at] or other[beside]) do
  if one[at] and (not other[beside] or order_of(one[at]) > order_of(other[beside])) then
    answer[#answer + 1], at = one[at], at + 1
  else
    answer[#answer + 1], beside = other[beside], beside + 1
  end
end
return answer
