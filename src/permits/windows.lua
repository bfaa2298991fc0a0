-- Permits of the shared account: its windows, and the line of those who wait for them, over all replicas. Part 1: the
-- request and the windows; line.lua follows, and is the same script.
--
-- KEYS  1 a hash: the windows   2 a sorted set: the line, by virtual finish   3 a hash: what is known of a place or permit
--       4 a sorted set: the places and permits, by deadline   5 a hash: the teams in the line, and under '' the virtual time
-- ARGV  1 one flat MessagePack array; permits.rs writes it and says what is where
--
-- A window is `start end taken` (microseconds), under m, d, M for the account and with ` key` after it for a key. What the
-- upstream told of a key is `since until left`, under t1, t2, t3 (up to a minute, a day, longer) and ` key`. A place is
-- `W team weight key key..`; a permit `G at key` until its replica has heard of it, `T at key` from then on. A team in the
-- line is `finish count`.

local WINDOWS, LINE, PLACES, DEADLINES, TEAMS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ASK, WAIT, LEAVE = 1, 2, 3
local MINUTE, DAY = 60000000, 86400000000
local SECOND = 1000000
-- What one call of a team of weight 1 adds to its virtual finish.
local STEP = 1000000
-- How many that were left behind a round ends, and how many in the line it looks at for one whose keys have room.
local SWEEP_MOST, LOOK_MOST = 256, 1024
-- Windows are kept beyond the longest month; the line lives as long as somebody speaks of it.
local WINDOWS_TTL, LINE_TTL = 33 * 86400, 3600
local call, match, gmatch, format = redis.call, string.match, string.gmatch, string.format

local request = cmsgpack.unpack(ARGV[1])
local fixed_now, place_ttl, told_ttl, month_start, month_end, length_most, team_most = unpack(request, 1, 7)
local at = 7
local time = call('TIME')
local now = fixed_now > 0 and fixed_now or time[1] * 1000000 + time[2]
-- The month was guessed by the caller. If the guess is wrong nothing happens, and the caller guesses again.
if now < month_start or now >= month_end then
  return { 0, now }
end
local minute_start, day_start = now - now % MINUTE, now - now % DAY

local function text(number)
  return format('%d', number)
end

-- Windows. A limit of 0 is none.

local SPANS = {
  { 'm', minute_start, minute_start + MINUTE },
  { 'd', day_start, day_start + DAY },
  { 'M', month_start, month_end },
}

-- A window that was opened under a clock that was ahead stays open, unless the clock had been far off.
local function window_of(kept, span, field, limit)
  local starts, ends, taken = span[2], span[3], 0
  if kept then
    local s, e, t = match(kept, '^(%d+) (%d+) (%d+)$')
    s, e, t = s + 0, e + 0, t + 0
    if now < e and s - now <= e - s then
      starts, ends, taken = s, e, t
    end
  end
  return { field = field, starts = starts, ends = ends, taken = taken, limit = limit, changed = false }
end

local function windows_of(suffix, limits)
  local kept = call('HMGET', WINDOWS, 'm' .. suffix, 'd' .. suffix, 'M' .. suffix)
  local windows = {}
  for n = 1, 3 do
    windows[n] = window_of(kept[n], SPANS[n], SPANS[n][1] .. suffix, limits[n])
  end
  return windows
end

local function told_of(name)
  local suffix = ' ' .. name
  local kept = call('HMGET', WINDOWS, 't1' .. suffix, 't2' .. suffix, 't3' .. suffix)
  local told = {}
  for n = 1, 3 do
    local since, ends, left = 0, 0, 0
    if kept[n] then
      since, ends, left = match(kept[n], '^(%d+) (%d+) (%d+)$')
      since, ends, left = since + 0, ends + 0, left + 0
    end
    told[n] = { field = 't' .. n .. suffix, since = since, ends = ends, left = left, changed = false }
  end
  return told
end

local account = windows_of('', { request[at + 1], request[at + 2], request[at + 3] })
local key_count = request[at + 4]
at = at + 4
local keys, names = {}, {}
local NONE = { 0, 0, 0 }

local function key_named(name, limits)
  local key = keys[name]
  if not key then
    key = { name = name, windows = windows_of(' ' .. name, limits or NONE), told = told_of(name) }
    keys[name] = key
  end
  return key
end

for n = 1, key_count do
  local name = request[at + 1]
  key_named(name, { request[at + 2], request[at + 3], request[at + 4] })
  names[n] = name
  at = at + 4
end

-- When the last of the full windows ends; 0 when none is full.
local function opens(windows)
  local latest = 0
  for n = 1, 3 do
    local window = windows[n]
    if window.limit > 0 and window.taken >= window.limit and window.ends > latest then
      latest = window.ends
    end
  end
  return latest
end

local function key_opens(key)
  local latest = opens(key.windows)
  for n = 1, 3 do
    local told = key.told[n]
    if told.left <= 0 and now < told.ends and told.ends > latest then
      latest = told.ends
    end
  end
  return latest
end

local function left_of(key)
  local least = -1
  local function note(left)
    left = left > 0 and left or 0
    if least < 0 or left < least then
      least = left
    end
  end
  for n = 1, 3 do
    if account[n].limit > 0 then
      note(account[n].limit - account[n].taken)
    end
    if key.windows[n].limit > 0 then
      note(key.windows[n].limit - key.windows[n].taken)
    end
    if now < key.told[n].ends then
      note(key.told[n].left)
    end
  end
  return least
end

local function take(key)
  for n = 1, 3 do
    for _, window in ipairs({ account[n], key.windows[n] }) do
      window.taken, window.changed = window.taken + 1, true
    end
    local told = key.told[n]
    if now < told.ends then
      told.left, told.changed = told.left - 1, true
    end
  end
end

local function give_back(key, granted_at)
  for n = 1, 3 do
    for _, window in ipairs({ account[n], key.windows[n] }) do
      if window.starts <= granted_at and granted_at < window.ends and window.taken > 0 then
        window.taken, window.changed = window.taken - 1, true
      end
    end
    local told = key.told[n]
    if now < told.ends and told.since <= granted_at then
      told.left, told.changed = told.left + 1, true
    end
  end
end
