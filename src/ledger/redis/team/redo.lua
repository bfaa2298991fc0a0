-- Part 10: what a caller brings that the store has lost: its calls, and how much it saw counted in windows and buckets.

-- Holds what a record says in the windows of its day, whatever their limits: it was admitted before.
local function hold_again(record)
  local its_day, asked = sub(record, 20, 29), find(record, '{', 31, true)
  local text = sub(record, 31, asked - 1)
  local head = heads[text] or head_of(text)
  local its_month = sub(its_day, 1, 7)
  for n = 1, #head.scopes do
    local scope = head.scopes[n]
    local windows = {
      its_day == day and scope.today or other_window(scope, 'd:' .. its_day),
      its_month == month and scope.this_month or other_window(scope, 'm:' .. its_month),
      scope.total,
    }
    for w = 1, 3 do
      local window = windows[w]
      window[2], window[4], window[5] = window[2] + 1, window[4] + head.price, true
    end
    scope.changed = true
  end
end

-- `at` is where the request says it: which call, whether its admission was lost, its record, how it ended (0: it runs), what
-- it was charged, and what came. A call that ended leaves a mark, so that bringing it again changes nothing.
local function redo(at)
  local i, admission_is_lost, record, outcome, charged, came = unpack(request, at, at + 5)
  local have = records[i]
  if have == 'X' then
    return
  end
  if not have then
    if admission_is_lost == 0 then
      -- It was here, and has been ended since.
      return
    end
    hold_again(record)
    deadlines[i] = deadline
  end
  records[i] = record
  if outcome > 0 then
    finish(i, outcome, charged, came, outcome == CHARGED and at + 6 or 0)
    records[i], deadlines[i] = 'X', '-' .. deadline
  end
end

-- While others may still bring calls of the same windows, it is only kept.
local function raise_or_keep(name, field, calls, credits)
  if not closed then
    raise(name, field, calls, credits)
    return
  end
  local kept = call('HGET', FLOORS, name .. ' ' .. field)
  if kept then
    local a, b = match(kept, '^(%d+) (%d+)$')
    calls, credits = math.max(calls, a + 0), math.max(credits, b + 0)
  end
  call('HSET', FLOORS, name .. ' ' .. field, format('%d %d', calls, credits))
  call('HSET', team.key, 'f', 1)
  let_live(FLOORS, TEAM_LIVES)
end
