-- Applies a list of operations to one team's state, in order, as one atomic step.
--
-- KEYS: the team's open reservations (a sorted set: id -> deadline), what they hold (a hash: id -> record) and the rows
-- of those that ended (a stream). Scopes are hashes below the same prefix, in the same slot; which ones an ending touches
-- stands in its record, so they cannot be named as keys by the caller.
-- ARGV[1]: the request, one flat MessagePack array; request.rs writes it and says what is where.
-- The reply is one flat array of integers; reply.rs reads it.
--
-- Everything is read before anything is written, and the first write is one that fails if it cannot be done: an error
-- leaves the team as it was. Every number is an integer below 2^53, so doubles hold it exactly.
--
-- A scope's windows are texts of four integers: requests spent, requests reserved, credits spent, credits reserved.
-- A bucket is a text of two: its level (tokens taken x the period in microseconds) and the time it was last written.
-- A record is `phase admitted_at price day month scope scope.. {asked}`; phase is W(aiting) or D(ispatched). X alone is
-- the mark of an admission that was given up before it came: should it still come, it is turned away.

local ADMIT, DISPATCH, SETTLE, RENEW, SWEEP, BOOKS, GIVE_UP = 1, 2, 3, 4, 5, 6, 7
local BUCKET, WINDOW, SLOTS = 1, 2, 3
local OUTCOMES = { 'charged', 'released', 'unknown' }
local CHARGED, RELEASED, UNKNOWN = 1, 2, 3
local RECORD = '^([WD]) (%d+) (%d+) (%S+) (%S+) ([^{]*)()'
local NEVER = math.huge
local SLOT_WAIT = 1000000
local IDLE_SCOPE_TTL = 400 * 86400

local OPEN, HELD, ROWS = KEYS[1], KEYS[2], KEYS[3]
local SCOPES = string.sub(OPEN, 1, -5) .. 's:'
local call, match, format, max, ceil = redis.call, string.match, string.format, math.max, math.ceil

local request = cmsgpack.unpack(ARGV[1])
local fixed_now, ttl, charge_unknown, rows_kept_ms, sweep_most, day_start, day_end, month_end, day, month, id_count,
  level_count, op_count = unpack(request, 1, 13)
local place = 13

local time = call('TIME')
local now = fixed_now > 0 and fixed_now or time[1] * 1000000 + time[2]
-- A Lua number becomes text with 14 digits only; this keeps all 16 of a time in microseconds.
local now_text = format('%.0f', now)

-- The day and month were guessed by the caller. If the guess is wrong nothing happens, and the caller guesses again.
if day_end > 0 and (now < day_start or now >= day_end) then
  return { 0, now }
end

-- Read: the reservations that the request names, and those whose time is over.

local ids = { unpack(request, place + 1, place + id_count) }
place = place + id_count
local records = id_count > 0 and call('HMGET', HELD, unpack(ids)) or {}

if sweep_most > 0 then
  local overdue = call('ZRANGEBYSCORE', OPEN, 0, now_text, 'LIMIT', 0, sweep_most)
  if #overdue > 0 then
    -- Whoever speaks of a reservation in this request is alive: its word counts, not the deadline.
    local named = {}
    for i = 1, id_count do
      named[ids[i]] = true
    end
    local left_behind = {}
    for _, id in ipairs(overdue) do
      if not named[id] then
        left_behind[#left_behind + 1] = id
      end
    end
    if #left_behind > 0 then
      local held = call('HMGET', HELD, unpack(left_behind))
      for i, id in ipairs(left_behind) do
        ids[id_count + i], records[id_count + i] = id, held[i]
      end
    end
  end
end
local found = {}
for i = 1, #ids do
  found[i] = records[i]
end

-- Scopes, read when first needed.

local scopes, scope_list = {}, {}

-- {requests spent, requests reserved, credits spent, credits reserved, changed, new}
local function window_of(text)
  if not text then
    return { 0, 0, 0, 0, false, true }
  end
  local a, b, c, d = match(text, '^(%d+) (%d+) (%d+) (%d+)$')
  return { a + 0, b + 0, c + 0, d + 0, false, false }
end

-- {level, last written, changed}
local function bucket_of(text)
  if not text then
    return { 0, 0, false }
  end
  local level, since = match(text, '^(%d+) (%d+)$')
  return { level + 0, since + 0, false }
end

local function scope_named(name, day_field, month_field)
  local scope = scopes[name]
  if not scope then
    local key = SCOPES .. name
    local texts = call('HMGET', key, day_field, month_field, 't')
    local total = window_of(texts[3])
    scope = {
      key = key,
      name = name,
      total = total,
      costs = total[3] + total[4] > 0,
      windows = { [day_field] = window_of(texts[1]), [month_field] = window_of(texts[2]), t = total },
      buckets = {},
    }
    scopes[name] = scope
    scope_list[#scope_list + 1] = scope
  end
  return scope
end

local function window(scope, field)
  local found_window = scope.windows[field]
  if not found_window then
    found_window = window_of(call('HGET', scope.key, field))
    scope.windows[field] = found_window
  end
  return found_window
end

local function bucket(scope, field)
  local found_bucket = scope.buckets[field]
  if not found_bucket then
    found_bucket = bucket_of(call('HGET', scope.key, field))
    scope.buckets[field] = found_bucket
  end
  return found_bucket
end

-- Levels: a scope and the limits that hold on it.

local today, this_month = 'd:' .. day, 'm:' .. month

local function limit_on(scope, kind, most, burst, shadow)
  local limit = { max = most, shadow = shadow == 1 }
  if kind <= 3 then
    limit.shape, limit.burst = BUCKET, burst
    limit.period = kind == 1 and 1000000 or kind == 2 and 60000000 or 3600000000
    limit.bucket = bucket(scope, kind == 1 and 'rs' or kind == 2 and 'rm' or 'rh')
  elseif kind <= 8 then
    limit.shape, limit.unit = WINDOW, kind <= 5 and 1 or 3
    if kind == 8 then
      limit.window, limit.ends = scope.total, NEVER
    elseif kind == 4 or kind == 6 then
      limit.window, limit.ends = window(scope, today), day_end
    else
      limit.window, limit.ends = window(scope, this_month), month_end
    end
  else
    limit.shape, limit.window = SLOTS, scope.total
  end
  return limit
end

local levels = {}
for i = 1, level_count do
  local scope = scope_named(request[place + 1], today, this_month)
  local level = { scope = scope, today = window(scope, today), this_month = window(scope, this_month) }
  local count = request[place + 2]
  place = place + 2
  for n = 1, count do
    level[n] = limit_on(scope, unpack(request, place + 1, place + 4))
    place = place + 4
  end
  levels[i] = level
end

-- How full a bucket is by now. Time that went backwards does not leak; if it went back by more than the bucket takes to
-- drain, the clock had been wrong before, and counting starts again from now.
local function drained(limit)
  local b = limit.bucket
  local level, elapsed = b[1], now - b[2]
  if elapsed < 0 and limit.max > 0 and -elapsed * limit.max > level then
    b[2], b[3], elapsed = now, level > 0, 0
  end
  if elapsed <= 0 then
    return level, -elapsed
  end
  return max(0, level - elapsed * limit.max), 0
end

-- How long a call must wait for a limit: nil when it need not, NEVER when no time helps.
local function wait_for(limit, price)
  local most = limit.max
  if limit.shape == WINDOW then
    local w, unit = limit.window, limit.unit
    local amount = unit == 1 and 1 or price
    if most > 0 and w[unit] + w[unit + 1] + amount <= most then
      return nil
    end
    if most == 0 or amount > most then
      return NEVER
    end
    return limit.ends - now
  elseif limit.shape == BUCKET then
    local level, behind = drained(limit)
    limit.level = level
    if most == 0 or limit.burst == 0 then
      return NEVER
    end
    local over = level + limit.period - limit.burst * limit.period
    return over > 0 and behind + ceil(over / most) or nil
  end
  if most == 0 then
    return NEVER
  end
  return limit.window[2] + 1 > most and SLOT_WAIT or nil
end

-- What the reply says.

local reply = { 1, now, 0, 0 }
local said = 4

local function say(number)
  said = said + 1
  reply[said] = number
end

local function say_standings(level)
  for n = 1, #level do
    local limit = level[n]
    if limit.shape == WINDOW then
      reply[said + 1], reply[said + 2] = limit.window[limit.unit], limit.window[limit.unit + 1]
      said = said + 2
    elseif limit.shape == BUCKET then
      say(limit.level)
    else
      say(limit.window[2])
    end
    if limit.shadow then
      say(limit.over and 1 or 0)
    end
  end
end

-- Operations.

local deadlines = {}

local function reserve_in(w, price)
  w[2], w[4], w[5] = w[2] + 1, w[4] + price, true
end

local function admit(i, phase, price, first, count, tail)
  local binding, longest, position = 0, -1, 0
  local again = records[i]
  for n = first, first + count - 1 do
    local level = levels[request[n]]
    for l = 1, #level do
      local limit = level[l]
      local wait = wait_for(limit, price)
      limit.over = wait and not again
      if wait and not limit.shadow and wait > longest then
        binding, longest = position, wait
      end
      position = position + 1
    end
  end
  if again == 'X' then
    say(2)
    return
  elseif again then
    say(1)
  elseif longest >= 0 then
    say(0)
    say(binding)
    say(longest == NEVER and -1 or now + longest)
  else
    say(1)
    records[i] = phase .. ' ' .. now_text .. ' ' .. tail
    deadlines[i] = now + ttl
    for n = first, first + count - 1 do
      local level = levels[request[n]]
      reserve_in(level.today, price)
      reserve_in(level.this_month, price)
      reserve_in(level.scope.total, price)
      for l = 1, #level do
        local limit = level[l]
        if limit.shape == BUCKET and not limit.over then
          local b = limit.bucket
          limit.level = limit.level + limit.period
          b[1], b[2], b[3] = limit.level, max(now, b[2]), true
        end
      end
    end
  end
  for n = first, first + count - 1 do
    say_standings(levels[request[n]])
  end
end

local rows = {}
local scopes_of = {}

local function settle_in(w, counted, charged, price)
  w[1], w[2], w[3], w[4], w[5] = w[1] + counted, max(0, w[2] - 1), w[3] + charged, max(0, w[4] - price), true
end

-- Ends a reservation in the windows that admitted it and writes its row. Returns what was charged, or nil when there is
-- nothing to end.
local function finish(i, outcome, charged, came)
  local record = records[i]
  if not record or record == 'X' then
    return nil
  end
  local _, admitted, price_text, its_day, its_month, names, asked = match(record, RECORD)
  records[i] = false
  if not admitted then
    return nil
  end
  local price = price_text + 0
  charged = outcome == RELEASED and 0 or math.min(charged, price)
  local counted = outcome == RELEASED and 0 or 1
  local day_field, month_field = 'd:' .. its_day, 'm:' .. its_month
  local touched = scopes_of[names]
  if not touched then
    touched = {}
    for name in string.gmatch(names, '%S+') do
      touched[#touched + 1] = scope_named(name, day_field, month_field)
    end
    scopes_of[names] = touched
  end
  for n = 1, #touched do
    local scope = touched[n]
    settle_in(window(scope, day_field), counted, charged, price)
    settle_in(window(scope, month_field), counted, charged, price)
    settle_in(scope.total, counted, charged, price)
  end
  rows[#rows + 1] = { ids[i], OUTCOMES[outcome], price_text, charged, its_day, its_month, admitted,
    string.sub(record, asked), came }
  return charged
end

for i = id_count + 1, #ids do
  if string.sub(records[i] or '', 1, 1) == 'W' then
    finish(i, RELEASED, 0, '')
    reply[3] = reply[3] + 1
  elseif finish(i, UNKNOWN, charge_unknown == 1 and NEVER or 0, '') then
    reply[4] = reply[4] + 1
  end
end

local renewed = {}
local given_up = {}
for _ = 1, op_count do
  local op = request[place + 1]
  if op == ADMIT then
    local count = request[place + 5]
    admit(request[place + 2], request[place + 3], request[place + 4], place + 7, count, request[place + 6])
    place = place + 6 + count
  elseif op == SETTLE then
    local i, outcome, charged, came = unpack(request, place + 2, place + 5)
    say(finish(i, outcome, charged, came) or -1)
    place = place + 5
  elseif op == DISPATCH then
    local i = request[place + 2]
    local record = records[i]
    local alive = record and record ~= 'X'
    if alive then
      records[i] = 'D' .. string.sub(record, 2)
    end
    say(alive and 1 or 0)
    place = place + 2
  elseif op == RENEW then
    local count = request[place + 2]
    for n = place + 3, place + 2 + count do
      renewed[#renewed + 1] = now + ttl
      renewed[#renewed + 1] = request[n]
    end
    place = place + 2 + count
  elseif op == BOOKS then
    local count = request[place + 2]
    say(call('ZCOUNT', OPEN, 0, '+inf'))
    for n = place + 3, place + 2 + count do
      local level = levels[request[n]]
      for l = 1, #level do
        wait_for(level[l], 0)
        level[l].over = false
      end
      say_standings(level)
    end
    place = place + 2 + count
  elseif op == GIVE_UP then
    local i = request[place + 2]
    finish(i, RELEASED, 0, '')
    records[i], given_up[i], deadlines[i] = 'X', true, nil
    place = place + 2
  else
    place = place + 1
  end
end

-- Write.

if #rows > 0 then
  -- First of all: fails when the rows cannot be written, and lets what follows pass when memory is short, so that ending
  -- a reservation, which frees more than it takes, is possible even then.
  call('XTRIM', ROWS, 'MINID', '~', format('%.0f', max(0, time[1] * 1000 - rows_kept_ms)))
  for n = 1, #rows do
    local row = rows[n]
    call('XADD', ROWS, '*', 'id', row[1], 'outcome', row[2], 'reserved', row[3], 'charged', row[4], 'day', row[5],
      'month', row[6], 'admitted_at', row[7], 'settled_at', now_text, 'asked', row[8], 'came', row[9])
  end
  call('PEXPIRE', ROWS, format('%.0f', rows_kept_ms))
end

local gone, kept, waits = {}, {}, {}
for i = 1, #ids do
  local record = records[i]
  if record ~= found[i] then
    if record then
      kept[#kept + 1] = ids[i]
      kept[#kept + 1] = record
    else
      gone[#gone + 1] = ids[i]
    end
  elseif not record and i > id_count then
    -- A deadline without a record: whatever it was, it holds nothing.
    gone[#gone + 1] = ids[i]
  end
  if record and deadlines[i] then
    waits[#waits + 1] = deadlines[i]
    waits[#waits + 1] = ids[i]
  elseif given_up[i] then
    -- Marks stand below zero, apart from what is open and from what is overdue.
    waits[#waits + 1] = -(now + ttl)
    waits[#waits + 1] = ids[i]
  end
end
if #gone > 0 then
  call('HDEL', HELD, unpack(gone))
  call('ZREM', OPEN, unpack(gone))
end
if #waits > 0 then
  call('ZADD', OPEN, unpack(waits))
end
if #renewed > 0 then
  call('ZADD', OPEN, 'XX', unpack(renewed))
end
if #kept > 0 then
  call('HSET', HELD, unpack(kept))
end

-- A new window opens: of its kind only the two newest others are kept, for calls that are still to be settled into them.
local function drop_old_windows(scope, opened)
  local kind, others = string.sub(opened, 1, 2), {}
  for _, field in ipairs(call('HKEYS', scope.key)) do
    if string.sub(field, 1, 2) == kind and field ~= opened then
      others[#others + 1] = field
    end
  end
  table.sort(others)
  for n = 1, #others - 2 do
    call('HDEL', scope.key, others[n])
  end
end

for n = 1, #scope_list do
  local scope = scope_list[n]
  local fields, opened, size = {}, nil, 0
  for field, w in pairs(scope.windows) do
    if w[5] then
      fields[size + 1] = field
      fields[size + 2] = format('%.0f %.0f %.0f %.0f', w[1], w[2], w[3], w[4])
      size = size + 2
      if w[6] and field ~= 't' then
        opened = opened or {}
        opened[#opened + 1] = field
      end
    end
  end
  for field, b in pairs(scope.buckets) do
    if b[3] then
      fields[size + 1] = field
      fields[size + 2] = format('%.0f %.0f', b[1], b[2])
      size = size + 2
    end
  end
  if size > 0 then
    call('HSET', scope.key, unpack(fields))
    if opened then
      for _, field in ipairs(opened) do
        drop_old_windows(scope, field)
      end
    end
    -- Users and keys come and go; a scope that never cost a credit is forgotten in time. One that did is not: a prepaid
    -- budget set later must know what was used. The team itself is never forgotten.
    local costs = scope.total[3] + scope.total[4] > 0
    if scope.name ~= 'team' then
      if costs and not scope.costs then
        call('PERSIST', scope.key)
      elseif not costs and (scope.costs or opened) then
        call('EXPIRE', scope.key, IDLE_SCOPE_TTL)
      end
    end
  end
end

-- Marks whose time is over, only when the sweep was asked for: they are rare.
if sweep_most > 8 then
  local marks = call('ZRANGEBYSCORE', OPEN, '-' .. now_text, '(0', 'LIMIT', 0, sweep_most)
  if #marks > 0 then
    call('HDEL', HELD, unpack(marks))
    call('ZREM', OPEN, unpack(marks))
  end
end

return reply
