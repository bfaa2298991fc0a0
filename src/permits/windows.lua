-- Permits of the shared account: its windows and the queue for them, over all replicas. Part 1: the
-- request and the windows. queue.lua follows in the same script.
--
-- KEYS  1 hash: windows
--       2 sorted set: the queue, by virtual finish
--       3 hash: waiting calls and permits
--       4 sorted set: waiting calls and permits, by deadline
--       5 hash: teams in the queue, and under '' the virtual time
-- ARGV  1 one flat MessagePack array, written and described in redis.rs
--
-- A window is `start end taken` (microseconds), in the fields m, d, M for the account; the field of
-- a key's window ends with a space and the key's name. The upstream's report on a key is
-- `since until left`, in t1, t2, t3 (up to a minute, a day, longer), with the same ending.
-- A waiting call is `W team weight key key..`; a permit is `G at key` until its replica knows of
-- it, then `T at key`. A team in the queue is `finish count`.

local WINDOWS, QUEUE, ENTRIES, DEADLINES, TEAMS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ASK, WAIT, LEAVE = 1, 2, 3
local MINUTE, DAY = 60000000, 86400000000
local SECOND = 1000000
-- Added to a team's virtual finish by one call at weight 1.
local STEP = 1000000
-- Most left-behind entries that a batch ends, and most calls it searches for one whose keys have
-- room.
local SWEEP_MAX, SEARCH_MAX = 256, 1024
-- Windows live longer than the longest month; the queue lives as long as it is used.
local WINDOWS_TTL, QUEUE_TTL = 33 * 86400, 3600
local call, match, gmatch, format = redis.call, string.match, string.gmatch, string.format

local request = cmsgpack.unpack(ARGV[1])
local fixed_now, position_ttl, known_ttl, month_start, month_end, length_max, team_length_max =
  unpack(request, 1, 7)
local at = 7
local time = call('TIME')
local now = fixed_now > 0 and fixed_now or time[1] * 1000000 + time[2]
-- The caller guessed the month. If the guess is wrong nothing happens, and the caller guesses
-- again.
if now < month_start or now >= month_end then
  return { 0, now }
end
local minute_start, day_start = now - now % MINUTE, now - now % DAY

local function text(number)
  return format('%d', number)
end

-- Windows. A limit of 0 means none.

local SPANS = {
  { 'm', minute_start, minute_start + MINUTE },
  { 'd', day_start, day_start + DAY },
  { 'M', month_start, month_end },
}

-- Keeps a window that was opened by a clock slightly ahead, but not one opened by a clock far off.
local function window_of(kept, span, field, limit)
  local starts, ends, taken = span[2], span[3], 0
  if kept then
    local s, e, t = match(kept, '^(%d+) (%d+) (%d+)$')
    s, e, t = s + 0, e + 0, t + 0
    if now < e and s - now <= e - s then
      starts, ends, taken = s, e, t
    end
  end
  return {
    field = field, starts = starts, ends = ends, taken = taken, limit = limit, changed = false,
  }
end

local function windows_of(suffix, limits)
  local kept = call('HMGET', WINDOWS, 'm' .. suffix, 'd' .. suffix, 'M' .. suffix)
  local windows = {}
  for n = 1, 3 do
    windows[n] = window_of(kept[n], SPANS[n], SPANS[n][1] .. suffix, limits[n])
  end
  return windows
end

local function reports_of(name)
  local suffix = ' ' .. name
  local kept = call('HMGET', WINDOWS, 't1' .. suffix, 't2' .. suffix, 't3' .. suffix)
  local reported = {}
  for n = 1, 3 do
    local since, ends, left = 0, 0, 0
    if kept[n] then
      since, ends, left = match(kept[n], '^(%d+) (%d+) (%d+)$')
      since, ends, left = since + 0, ends + 0, left + 0
    end
    reported[n] = {
      field = 't' .. n .. suffix, since = since, ends = ends, left = left, changed = false,
    }
  end
  return reported
end

local account = windows_of('', { request[at + 1], request[at + 2], request[at + 3] })
local key_count = request[at + 4]
at = at + 4
local keys, names = {}, {}
local NONE = { 0, 0, 0 }

local function key_named(name, limits)
  local key = keys[name]
  if not key then
    local windows = windows_of(' ' .. name, limits or NONE)
    key = { name = name, windows = windows, reported = reports_of(name) }
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
    local reported = key.reported[n]
    if reported.left <= 0 and now < reported.ends and reported.ends > latest then
      latest = reported.ends
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
    if now < key.reported[n].ends then
      note(key.reported[n].left)
    end
  end
  return least
end

local function take(key)
  for n = 1, 3 do
    for _, window in ipairs({ account[n], key.windows[n] }) do
      window.taken, window.changed = window.taken + 1, true
    end
    local reported = key.reported[n]
    if now < reported.ends then
      reported.left, reported.changed = reported.left - 1, true
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
    local reported = key.reported[n]
    if now < reported.ends and reported.since <= granted_at then
      reported.left, reported.changed = reported.left + 1, true
    end
  end
end
