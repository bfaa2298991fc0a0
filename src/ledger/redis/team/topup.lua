-- Part 9: top-ups. The window of all time of a scope that was topped up has two numbers more: how much was added in all, and
-- how much of that is known only as a sum, from somebody who saw it before it was lost.
--
-- A top-up is remembered under its id, as `scope amount`, so that it is added once.

local TOP_UPS = PREFIX .. 'topup:'
local top_ups = {}

-- What limits were read for this request already follow.
local function raise_limits(scope, amount)
  for n = 1, level_count do
    local level = levels[n]
    if level.scope == scope then
      level.credits = NEVER
      for l = level.first, level.last do
        local limit = limits[l]
        if limit.window == scope.total then
          limit.max = math.min(limit.max + amount, CREDITS_MOST)
        end
        if limit.window and limit.unit == 3 then
          local room = limit.max > 0 and limit.max - limit.window[3] - limit.window[4] or -NEVER
          level.credits = math.min(level.credits, room)
        end
      end
    end
  end
end

local function add_top_up(scope, id, text, amount, known)
  local total = scope.total
  total[7], total[8], scope.changed = (total[7] or 0) + amount, (total[8] or 0) - known, true
  top_ups[id] = { text, scope }
  raise_limits(scope, amount)
end

local function top_up_known(id)
  local known = top_ups[id] and top_ups[id][1] or call('GET', TOP_UPS .. id)
  if not known then
    note_if_lost('topup:' .. id)
  end
  return known
end

-- The reply is 0: another one has this id; 1: added; 2: added before; 3: too much; then the sum of all of the scope.
local function top_up(id, name, amount)
  local scope, text = scope_named(name), name .. format(' %d', amount)
  local known, sum = top_up_known(id), scope.total[7] or 0
  local result = known and (known == text and 2 or 0) or (sum + amount > CREDITS_MOST and 3) or 1
  if result == 1 then
    add_top_up(scope, id, text, amount, 0)
    sum = sum + amount
  end
  said = said + 2
  reply[said - 1], reply[said] = result, sum
end

-- One that the store has lost. If a sum has been brought of which nobody said what is in it, this one may be: better too
-- little than twice.
local function top_up_again(id, name, amount)
  if top_up_known(id) then
    return
  end
  local scope, text = scope_named(name), name .. format(' %d', amount)
  local known = math.min(scope.total[8] or 0, amount)
  add_top_up(scope, id, text, math.min(amount - known, CREDITS_MOST - (scope.total[7] or 0)), known)
end
