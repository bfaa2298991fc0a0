-- Part 5: the limits that hold on scopes, and whether a call passes them.

-- A level is a scope and, from `first` to `last` of all limits, those that hold on it. Its rooms say how much
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

-- `flags`: 1 for a shadow, and twice the millionths of a soft threshold (soft.lua).
local function limit_on(scope, kind, most, burst, flags)
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
    window, unit, scope.needs_total = scope.total, 3, true
    if window[7] then
      most = math.min(most + window[7], CREDITS_MOST)
    end
  end
  return {
    max = most,
    -- The highest level at which a bucket gives a token.
    brim = most > 0 and (burst - 1) * period or -1,
    shadow = flags % 2 == 1,
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
  scope.judged = true
  local calls, credits, slots, buckets, soft = NEVER, NEVER, NEVER, false, false
  for n = limit_count + 1, limit_count + count do
    local limit = limit_on(scope, unpack(request, place + 1, place + 4))
    local window, most, unit = limit.window, limit.max, limit.unit
    limits[n] = limit
    place = place + 4
    local flags = request[place]
    if flags > 1 then
      soft = soft or {}
      soft[#soft + 1] = { request[place - 3], (flags - flags % 2) / 2, limit }
    end
    if limit.bucket then
      buckets = buckets or {}
      buckets[#buckets + 1] = limit
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
    soft = soft,
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
  local buckets = level.buckets
  if buckets then
    for b = 1, #buckets do
      if level_of(buckets[b]) > buckets[b].brim then
        return false
      end
    end
  end
  return true
end

local reply, said = { 1, now, 0, 0, epoch, seq, 0, 0 }, 8
