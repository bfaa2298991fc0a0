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
-- A scope's windows are texts of four integers: requests spent, requests reserved, credits spent, credits reserved. There
-- is one for each day (d:2026-11-22) and month (m:2026-11), and one for all time (t); its reserved requests are the slots
-- in use. A bucket (rs, rm, rh) is a text of two: its level, in tokens taken times the period in microseconds, and when it
-- was written. A record is `phase admitted_at day price scope scope.. {asked}`, its first three of fixed width; phase is
-- W(aiting) or D(ispatched). X alone is the mark of an admission that was given up before it came: should it still come,
-- it is turned away.
--
-- This is the hot path of redis-server: tables are made with all their fields (adding one later rehashes), `false` stands
-- for nothing (assigning nil to a missing field rehashes as well), and what many operations share is worked out once.

local ADMIT, DISPATCH, SETTLE, RENEW, BOOKS, GIVE_UP = 1, 2, 3, 4, 6, 7
local RELEASED, UNKNOWN = 2, 3
local OUTCOMES = { 'charged', 'released', 'unknown' }
local NEVER = math.huge
local SLOT_WAIT = 1000000
local IDLE_SCOPE_TTL = 400 * 86400

local OPEN, HELD, ROWS = KEYS[1], KEYS[2], KEYS[3]
local call, match, find, sub, format, ceil =
  redis.call, string.match, string.find, string.sub, string.format, math.ceil

local request = cmsgpack.unpack(ARGV[1])
local fixed_now, ttl, charge_unknown, rows_kept_ms, sweep_most, day_start, day_end, month_end, day, id_count, level_count,
  op_count = unpack(request, 1, 12)
local place = 12

local time = call('TIME')
local now = fixed_now > 0 and fixed_now or time[1] * 1000000 + time[2]
-- A Lua number becomes text with 14 digits only; this keeps all 16 of a time in microseconds.
local now_text = format('%016d', now)

-- The day was guessed by the caller. If the guess is wrong nothing happens, and the caller guesses again.
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
    local named, left_behind = {}, {}
    for i = 1, id_count do
      named[ids[i]] = true
    end
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
local found = { unpack(records, 1, #ids) }

-- A request that admits nothing has no day of its own: most likely it ends reservations of one and the same day.
for i = 1, #ids do
  if day == '' and records[i] then
    day = sub(records[i], 20, 29)
  end
end
local month = sub(day, 1, 7)
local today, this_month = 'd:' .. day, 'm:' .. month

-- Scopes, read when first needed. `plus` is what this request adds to all three of today, this month and all time.

local SCOPES = sub(OPEN, 1, -5) .. 's:'
local scopes, scope_list = {}, {}

-- {requests spent, requests reserved, credits spent, credits reserved, changed, new}
local function window_of(text)
  if not text then
    return { 0, 0, 0, 0, false, true }
  end
  local a, b, c, d = match(text, '^(%d+) (%d+) (%d+) (%d+)$')
  return { a + 0, b + 0, c + 0, d + 0, false, false }
end

local function scope_named(name)
  local scope = scopes[name]
  if not scope then
    local key = SCOPES .. name
    local texts = call('HMGET', key, today, this_month, 't')
    scope = {
      key = key,
      name = name,
      today = window_of(texts[1]),
      this_month = window_of(texts[2]),
      total = window_of(texts[3]),
      plus = { 0, 0, 0, 0 },
      changed = false,
      buckets = false,
      others = false,
    }
    scopes[name] = scope
    scope_list[#scope_list + 1] = scope
  end
  return scope
end

-- {level, last written, changed}
local function bucket_of(scope, field)
  local buckets = scope.buckets
  if not buckets then
    buckets = { rs = false, rm = false, rh = false }
    scope.buckets = buckets
  end
  if not buckets[field] then
    local text = call('HGET', scope.key, field)
    if text then
      local level, since = match(text, '^(%d+) (%d+)$')
      buckets[field] = { level + 0, since + 0, false }
    else
      buckets[field] = { 0, 0, false }
    end
  end
  return buckets[field]
end

-- A window of another day or month than this request's.
local function other_window(scope, field)
  local others = scope.others
  if not others then
    others = {}
    scope.others = others
  end
  if not others[field] then
    others[field] = window_of(call('HGET', scope.key, field))
  end
  return others[field]
end

-- Limits. A level is a scope and, from `first` to `last` of all limits, those that hold on it. Its rooms say how much
-- more of each kind passes without looking at the limits one by one.

local levels, limits, limit_count = {}, {}, 0

-- How full a bucket is by now, and how far its time is ahead. Time that went backwards does not leak; if it went back by
-- more than the bucket takes to drain, the clock had been wrong before, and counting starts again from now.
local function drained(bucket, most)
  local level, elapsed = bucket[1], now - bucket[2]
  if elapsed >= 0 then
    local left = level - elapsed * most
    return left > 0 and left or 0, 0
  end
  if most > 0 and -elapsed * most > level then
    bucket[2], bucket[3] = now, true
    return level, 0
  end
  return level, -elapsed
end

local function limit_on(scope, kind, most, burst, shadow)
  local bucket, window, unit, ends, period, level, ahead = false, false, 0, NEVER, 0, 0, 0
  if kind < 4 then
    bucket = bucket_of(scope, kind == 1 and 'rs' or kind == 2 and 'rm' or 'rh')
    period = kind == 1 and 1000000 or kind == 2 and 60000000 or 3600000000
    level, ahead = drained(bucket, most)
  elseif kind < 8 then
    unit = kind < 6 and 1 or 3
    if kind == 4 or kind == 6 then
      window, ends = scope.today, day_end
    else
      window, ends = scope.this_month, month_end
    end
  elseif kind == 8 then
    window, unit = scope.total, 3
  end
  return {
    max = most,
    -- The highest level at which a bucket gives a token.
    brim = most > 0 and (burst - 1) * period or -1,
    shadow = shadow == 1,
    bucket = bucket,
    window = window,
    unit = unit,
    ends = ends,
    period = period,
    level = level,
    ahead = ahead,
    over = false,
  }
end

for i = 1, level_count do
  local scope = scope_named(request[place + 1])
  local count = request[place + 2]
  place = place + 2
  local calls, credits, slots, buckets = NEVER, NEVER, NEVER, false
  for n = limit_count + 1, limit_count + count do
    local limit = limit_on(scope, unpack(request, place + 1, place + 4))
    local window, most, unit = limit.window, limit.max, limit.unit
    limits[n] = limit
    place = place + 4
    if limit.bucket then
      buckets = true
    elseif not window then
      slots = most - scope.total[2]
    else
      -- A limit of 0 has no room even for what costs nothing.
      local room = most > 0 and most - window[unit] - window[unit + 1] or -NEVER
      if unit == 1 then
        calls = room < calls and room or calls
      else
        credits = room < credits and room or credits
      end
    end
  end
  levels[i] = {
    scope = scope,
    first = limit_count + 1,
    last = limit_count + count,
    calls = calls,
    credits = credits,
    slots = slots,
    buckets = buckets,
  }
  limit_count = limit_count + count
end

local function level_of(limit)
  local bucket = limit.bucket
  return bucket[3] and bucket[1] or limit.level
end

-- How long a call must wait for a limit: false when it need not, NEVER when no time helps.
local function wait_for(scope, limit, price)
  local most, window, plus = limit.max, limit.window, scope.plus
  if window then
    local unit = limit.unit
    local amount = unit == 1 and 1 or price
    local taken = window[unit] + window[unit + 1] + plus[unit] + plus[unit + 1]
    if taken + amount <= most and most > 0 then
      return false
    end
    return (most == 0 or amount > most) and NEVER or limit.ends - now
  end
  if limit.bucket then
    if limit.brim < 0 then
      return NEVER
    end
    local over = level_of(limit) - limit.brim
    return over > 0 and limit.ahead + ceil(over / most)
  end
  if most == 0 then
    return NEVER
  end
  return scope.total[2] + plus[2] >= most and SLOT_WAIT
end

-- Whether a level lets a call pass, at a glance: true means that no limit, not even a shadow, says otherwise.
local function passes(level, price)
  local plus = level.scope.plus
  if plus[1] + plus[2] + 1 > level.calls or plus[3] + plus[4] + price > level.credits or plus[2] + 1 > level.slots then
    return false
  end
  if level.buckets then
    for l = level.first, level.last do
      local limit = limits[l]
      if limit.bucket and level_of(limit) > limit.brim then
        return false
      end
    end
  end
  return true
end

local reply, said = { 1, now, 0, 0 }, 4

-- Operations.

local deadlines = {}
for i = 1, #ids do
  deadlines[i] = false
end
local opening = { W = 'W ' .. now_text .. ' ', D = 'D ' .. now_text .. ' ' }

local function reserve(level, price)
  local scope = level.scope
  local plus = scope.plus
  plus[2], plus[4], scope.changed = plus[2] + 1, plus[4] + price, true
  if level.buckets then
    for l = level.first, level.last do
      local limit = limits[l]
      local bucket = limit.bucket
      if bucket and not limit.over then
        bucket[1] = level_of(limit) + limit.period
        bucket[2], bucket[3] = now > bucket[2] and now or bucket[2], true
      end
    end
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

-- 0: refused, by which limit and until when, then the shadows. 1: admitted. 2: admitted, then the shadows. 3: given up.
local function admit(i, phase, price, first, last, tail)
  said = said + 1
  local again = records[i]
  if again then
    reply[said] = again == 'X' and 3 or 1
    return
  end
  local at_a_glance = true
  for n = first, last do
    at_a_glance = at_a_glance and passes(levels[request[n]], price)
  end
  if at_a_glance then
    reply[said] = 1
  else
    local binding, longest = judge(first, last, price)
    if binding then
      reply[said], reply[said + 1] = 0, binding
      said = said + 2
      reply[said] = longest == NEVER and -1 or now + longest
      say_shadows(first, last)
      return
    end
    reply[said] = 2
  end
  records[i] = opening[phase] .. tail
  deadlines[i] = now + ttl
  for n = first, last do
    reserve(levels[request[n]], price)
  end
  if not at_a_glance then
    say_shadows(first, last)
  end
end

local rows = {}

-- The middle of a record, `price scope scope..`: the same for most calls of a user, so it is taken apart once.
local heads = {}

local function head_of(text)
  local price, names = match(text, '^(%d+) (.*)$')
  local head = { price = price + 0, scopes = {} }
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

-- Ends a reservation in the windows that admitted it and writes its row. Returns what was charged, or false when there is
-- nothing to end.
local function finish(i, outcome, charged, came)
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
  local counted = 1
  if outcome == RELEASED then
    counted, charged = 0, 0
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
  rows[#rows + 1] = { ids[i], OUTCOMES[outcome], charged, record, came }
  return charged
end

for i = id_count + 1, #ids do
  if sub(records[i] or '', 1, 1) == 'W' then
    finish(i, RELEASED, 0, '')
    reply[3] = reply[3] + 1
  elseif finish(i, UNKNOWN, charge_unknown == 1 and NEVER or 0, '') then
    reply[4] = reply[4] + 1
  end
end

local renewed = {}
for _ = 1, op_count do
  local op = request[place + 1]
  if op == ADMIT then
    local last = place + 6 + request[place + 5]
    admit(request[place + 2], request[place + 3], request[place + 4], place + 7, last, request[place + 6])
    place = last
  elseif op == SETTLE then
    said = said + 1
    reply[said] = finish(request[place + 2], request[place + 3], request[place + 4], request[place + 5]) or -1
    place = place + 5
  elseif op == DISPATCH then
    local i = request[place + 2]
    local record = records[i]
    local alive = record and record ~= 'X'
    if alive then
      records[i] = 'D' .. sub(record, 2)
    end
    said = said + 1
    reply[said] = alive and 1 or 0
    place = place + 2
  elseif op == RENEW then
    local last = place + 2 + request[place + 2]
    for n = place + 3, last do
      renewed[#renewed + 1] = now + ttl
      renewed[#renewed + 1] = request[n]
    end
    place = last
  elseif op == BOOKS then
    said = said + 1
    reply[said] = call('ZCOUNT', OPEN, 0, '+inf')
    place = place + 1
  elseif op == GIVE_UP then
    local i = request[place + 2]
    finish(i, RELEASED, 0, '')
    -- Marks stand below zero, apart from what is open and from what is overdue.
    records[i], deadlines[i] = 'X', -(now + ttl)
    place = place + 2
  else
    place = place + 1
  end
end

-- How every level stands after all this, for all who asked: what others did in the same step is known to each of them.
-- What was lost with a part of the data may leave less than nothing; it is said, and written, as nothing.
for i = 1, level_count do
  local level = levels[i]
  local scope = level.scope
  local plus = scope.plus
  for l = level.first, level.last do
    local limit = limits[l]
    local window = limit.window
    if window then
      local unit = limit.unit
      local reserved = window[unit + 1] + plus[unit + 1]
      reply[said + 1] = window[unit] + plus[unit]
      said = said + 2
      reply[said] = reserved > 0 and reserved or 0
    else
      local amount = limit.bucket and level_of(limit) or scope.total[2] + plus[2]
      said = said + 1
      reply[said] = amount > 0 and amount or 0
    end
  end
end

-- Write.

if #rows > 0 then
  -- First of all: fails when the rows cannot be written, and lets what follows pass when memory is short, so that ending
  -- a reservation, which frees about as much as it takes, is possible even then.
  call('XTRIM', ROWS, 'MINID', '~', format('%d', math.max(0, time[1] * 1000 - rows_kept_ms)))
  for n = 1, #rows do
    local row = rows[n]
    call('XADD', ROWS, '*', 'id', row[1], 'outcome', row[2], 'charged', row[3], 'settled_at', now_text, 'call', row[4],
      'came', row[5])
  end
  call('PEXPIRE', ROWS, rows_kept_ms)
end

local gone, kept, waits = {}, {}, {}
for i = 1, #ids do
  local record = records[i]
  if record ~= found[i] then
    if record then
      kept[#kept + 1] = ids[i]
      kept[#kept + 1] = record
      if deadlines[i] then
        waits[#waits + 1] = deadlines[i]
        waits[#waits + 1] = ids[i]
      end
    else
      gone[#gone + 1] = ids[i]
    end
  elseif not record and i > id_count then
    -- A deadline without a record: whatever it was, it holds nothing.
    gone[#gone + 1] = ids[i]
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
  local kind, others = sub(opened, 1, 2), {}
  for _, field in ipairs(call('HKEYS', scope.key)) do
    if sub(field, 1, 2) == kind and field ~= opened then
      others[#others + 1] = field
    end
  end
  table.sort(others)
  for n = 1, #others - 2 do
    call('HDEL', scope.key, others[n])
  end
end

local function window_text(window, plus)
  local a, b, c, d = window[1] + plus[1], window[2] + plus[2], window[3] + plus[3], window[4] + plus[4]
  return format('%d %d %d %d', a, b > 0 and b or 0, c, d > 0 and d or 0)
end

local NOTHING = { 0, 0, 0, 0 }

local function write_windows(scope)
  local plus, total = scope.plus, scope.total
  call('HSET', scope.key, today, window_text(scope.today, plus), this_month, window_text(scope.this_month, plus), 't',
    window_text(total, plus))
  local opened = scope.today[6]
  if opened then
    drop_old_windows(scope, today)
    drop_old_windows(scope, this_month)
  end
  for field, window in pairs(scope.others or {}) do
    call('HSET', scope.key, field, window_text(window, NOTHING))
    if window[6] then
      drop_old_windows(scope, field)
    end
  end
  -- Users and keys come and go; a scope that never cost a credit is forgotten in time. One that did is not: a prepaid
  -- budget set later must know what was used. The team itself is never forgotten.
  if scope.name ~= 'team' then
    local cost_before = total[3] + total[4] > 0
    local costs = total[3] + plus[3] + total[4] + plus[4] > 0
    if costs and not cost_before then
      call('PERSIST', scope.key)
    elseif not costs and (cost_before or opened) then
      call('EXPIRE', scope.key, IDLE_SCOPE_TTL)
    end
  end
end

for n = 1, #scope_list do
  local scope = scope_list[n]
  if scope.changed then
    write_windows(scope)
  end
  for field, bucket in pairs(scope.buckets or {}) do
    if bucket and bucket[3] then
      call('HSET', scope.key, field, format('%d %d', bucket[1], bucket[2]))
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
