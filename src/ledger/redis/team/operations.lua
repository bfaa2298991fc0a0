-- Part 8: what each operation does to what was read. Nothing is written yet.

local deadlines = {}
for i = 1, #ids do
  deadlines[i] = false
end
local opening = { W = 'W ' .. now_text .. ' ', D = 'D ' .. now_text .. ' ', T = 'T ' .. now_text .. ' ' }

local function take_tokens(level)
  local buckets = level.buckets
  if buckets then
    for b = 1, #buckets do
      local limit = buckets[b]
      if not limit.over then
        local bucket = limit.bucket
        bucket[1] = level_of(limit) + limit.period
        bucket[2], bucket[3] = now > bucket[2] and now or bucket[2], true
        bucket[4] = limit.max > 0 and bucket[2] + ceil(bucket[1] / limit.max) or 0
      end
    end
  end
end

local function reserve(level, price)
  local scope = level.scope
  local plus = scope.plus
  plus[2], plus[4], scope.changed = plus[2] + 1, plus[4] + price, true
  take_tokens(level)
  if level.soft then
    look_for_crossings(level)
  end
end

-- Looks at every limit of the levels. Returns which binds and for how long, or nothing.
local function judge(first, last, price)
  local binding, longest, position = false, -1, 0
  for n = first, last do
    local level = levels[request[n]]
    for l = level.first, level.last do
      local limit = limits[l]
      local wait = wait_for(level.scope, limit, price)
      limit.over = wait and true
      if wait and wait > longest and not limit.shadow then
        binding, longest = position, wait
      end
      position = position + 1
    end
  end
  return binding, longest
end

-- Says which shadow limits a call passed, and clears the notes of `judge`.
local function say_shadows(first, last)
  for n = first, last do
    local level = levels[request[n]]
    for l = level.first, level.last do
      local limit = limits[l]
      if limit.shadow then
        said = said + 1
        reply[said] = limit.over and 1 or 0
      end
      limit.over = false
    end
  end
end

-- Whether a call passes all limits, and whether that was seen at a glance; if not, the shadows are to be said. The reply
-- is 0: refused, by which limit and until when, then the shadows. 1: it passes. 2: it passes, then the shadows.
local function judged(price, first, last)
  said = said + 1
  local at_a_glance = true
  for n = first, last do
    at_a_glance = at_a_glance and passes(levels[request[n]], price)
  end
  if at_a_glance then
    reply[said] = 1
    return true, true
  end
  local binding, longest = judge(first, last, price)
  if not binding then
    reply[said] = 2
    return true, false
  end
  reply[said], reply[said + 1] = 0, binding
  said = said + 2
  reply[said] = longest == NEVER and -1 or now + longest
  return false, false
end

-- As above, or 3: given up.
local function admit(i, phase, price, first, last, tail)
  local again = records[i]
  if again then
    said = said + 1
    reply[said] = again == 'X' and 3 or 1
    return
  end
  local passed, at_a_glance = judged(price, first, last)
  if passed then
    records[i] = opening[phase] .. tail
    deadlines[i] = deadline
    for n = first, last do
      reserve(levels[request[n]], price)
    end
  end
  if not at_a_glance then
    say_shadows(first, last)
  end
end

-- The same judgement, and nothing reserved.
local function quote(price, first, last)
  local _, at_a_glance = judged(price, first, last)
  if not at_a_glance then
    say_shadows(first, last)
  end
end

-- Takes a token for a reading. 0: it passes. Else when the next one does; -1: never.
local function read_by(place_of_level)
  local binding, longest = judge(place_of_level, place_of_level, 0)
  said = said + 1
  reply[said] = not binding and 0 or longest == NEVER and -1 or now + longest
  if not binding then
    take_tokens(levels[request[place_of_level]])
  end
end

local rows, free_rows = {}, {}

-- The middle of a record, `price model user scope scope..`: the same for most calls of a user, so it is taken apart once.
local heads = {}

local function head_of(text)
  local price, cell, names = match(text, '^(%d+) (%S+ %S+) (.*)$')
  local head = { price = price + 0, cell = cell, scopes = {} }
  for name in string.gmatch(names, '%S+') do
    head.scopes[#head.scopes + 1] = scope_named(name)
  end
  heads[text] = head
  return head
end

local function settle_in(window, counted, charged, price)
  window[1], window[2], window[5] = window[1] + counted, window[2] - 1, true
  window[3], window[4] = window[3] + charged, window[4] - price
end

-- Ends a reservation in the windows that admitted it, counts its usage and writes its row. `first` is where the request
-- says what came, 0 when nothing did. Returns what was charged, or false when there is nothing to end.
local function finish(i, outcome, charged, came, first)
  local record = records[i]
  if not record or record == 'X' then
    return false
  end
  local asked = find(record, '{', 31, true)
  records[i] = false
  if not asked then
    return false
  end
  local its_day, text = sub(record, 20, 29), sub(record, 31, asked - 1)
  local head = heads[text] or head_of(text)
  local price, touched = head.price, head.scopes
  -- What was never sent gives its request back; what was sent and refused costs nothing, and was a request.
  local counted = outcome == RELEASED and 0 or 1
  if outcome == RELEASED or outcome == REFUSED then
    charged = 0
  elseif charged > price then
    charged = price
  end
  for n = 1, #touched do
    local scope = touched[n]
    if its_day == day then
      local plus = scope.plus
      plus[1], plus[2], scope.changed = plus[1] + counted, plus[2] - 1, true
      plus[3], plus[4] = plus[3] + charged, plus[4] - price
    else
      local its_month = sub(its_day, 1, 7)
      settle_in(other_window(scope, 'd:' .. its_day), counted, charged, price)
      settle_in(its_month == month and scope.this_month or other_window(scope, 'm:' .. its_month), counted, charged, price)
      settle_in(scope.total, counted, charged, price)
      scope.changed = true
    end
  end
  count_usage(its_day, head.cell, outcome, charged, first)
  local order = format(' %016d%010d%04d ', epoch, seq + 1, #rows + #free_rows)
  local list = charged > 0 and rows or free_rows
  list[#list + 1] = ids[i] .. ' ' .. OUTCOMES[outcome] .. format(' %d ', charged) .. now_text .. order .. record .. came
  return charged
end
