-- Part 6: soft thresholds. A budget that a call brings to its threshold is told of, once in each window: its scope is marked
-- (xd, xm, xt) with the name of the window it was told of in; a prepaid one with the sum of all top-ups.

local MARKS = { [6] = 'xd', [7] = 'xm', [8] = 'xt' }
local crossings = {}

-- So many millionths of an amount, rounded up: exact, though the product of both would not be.
local function share_of(amount, millionths)
  local rest = amount % 1000000
  return (amount - rest) / 1000000 * millionths + ceil(rest * millionths / 1000000)
end

-- What the budget was marked with last.
local function mark_of(scope, field)
  local marks = scope.marks
  if not marks then
    marks = {}
    scope.marks = marks
  end
  if marks[field] == nil then
    marks[field] = call('HGET', scope.key, field)
  end
  return marks[field]
end

-- Looks at the budgets of a level that have a threshold, after a call was reserved in them.
local function look_for_crossings(level)
  local scope, plus = level.scope, level.scope.plus
  for s = 1, #level.soft do
    local kind, share, limit = unpack(level.soft[s])
    local window = limit.window
    local used, reserved = window[3] + plus[3], window[4] + plus[4]
    local threshold = share_of(limit.max, share)
    if threshold > 0 and used + reserved >= threshold then
      local field = MARKS[kind]
      local mark = kind == 6 and day or kind == 7 and month or format('%d', window[7] or 0)
      if mark_of(scope, field) ~= mark then
        scope.marks[field] = mark
        local told = { scope.name, kind, share, limit.max, used, reserved > 0 and reserved or 0 }
        crossings[#crossings + 1] = { told = told, key = scope.key, field = field, mark = mark }
      end
    end
  end
end
