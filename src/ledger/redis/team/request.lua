-- Applies a list of operations to one team's state, in order, as one atomic step. Part 1: the request, and what it names.
--
-- The parts are one script: there.lua, scopes.lua, epoch.lua, limits.lua, soft.lua, usage.lua, operations.lua, topup.lua,
-- redo.lua, steps.lua, answer.lua, lives.lua and write.lua follow.
--
-- KEYS: the team's open reservations (a sorted set: id -> deadline), what they hold (a hash: id -> record) and the rows
-- of those that ended (a list, newest first). Scopes and days of usage are hashes below the same prefix, in the same slot;
-- which ones an ending touches stands in its record, so they cannot be named as keys by the caller. Every key lives as long
-- as what it counts (lives.lua), and one that is gone before is a loss (there.lua).
-- ARGV[1]: the request, one flat MessagePack array; request.rs writes it and says what is where.
-- The reply is one flat array of integers; reply.rs reads it.
--
-- Everything is read before anything is written, and the first write is one that fails if it cannot be done: an error
-- leaves the team as it was. Every number is an integer below 2^53, so doubles hold it exactly.
--
-- A scope's windows are texts of four integers: requests spent, requests reserved, credits spent, credits reserved. There
-- is one for each day (d:2026-11-22) and month (m:2026-11), and one for all time (t); its reserved requests are the slots
-- in use. Behind those of a scope that was topped up stand two more (topup.lua). A bucket (rs, rm, rh) is a text of two: its level, in tokens taken times the period in microseconds, and when it
-- was written. A record is `phase admitted_at day price model user scope scope.. {asked}`, its first three of fixed width;
-- phase is W(aiting), D(ispatched) or T(urned back by the upstream, and waiting again). X alone is the mark of an admission that was given up before it came: should it
-- still come, it is turned away. A row is `id outcome charged settled_at order` and the record, `{came}` behind it; rows of
-- calls that cost nothing have a list of their own, beside the other, and the order says where a row stands among all.
--
-- This is the hot path of redis-server: tables are made with all their fields (adding one later rehashes), `false` stands
-- for nothing (assigning nil to a missing field rehashes as well), and what many operations share is worked out once.

local CHARGED, RELEASED, UNKNOWN, REFUSED = 1, 2, 3, 4
local OUTCOMES = { 'charged', 'released', 'unknown', 'refused' }
local NEVER = math.huge
local SLOT_WAIT = 1000000
local DAY = 86400000000
local CREDITS_MOST = 1000000000 * 1000000

local OPEN, HELD, ROWS = KEYS[1], KEYS[2], KEYS[3]
local FREE_ROWS = ROWS .. ':free'
-- In the first two beside the reservations, so that they are there as long as the team is. In the set it is also a member
-- too long for Redis's compact form, which takes time in proportion to what is open; its score of 0 is no deadline.
local KEEPER = string.rep('-', 65)
local call, match, find, sub, format, ceil =
  redis.call, string.match, string.find, string.sub, string.format, math.ceil

local request = cmsgpack.unpack(ARGV[1])
local fixed_now, ttl, charge_unknown, rows_kept, rows_most, usage_kept, cells_most, sweep_most, day_start, day_end,
  month_end, day, id_count, level_count, op_count, known_epoch, known_seq, mode, hold, gather, sweep_until, voucher =
  unpack(request, 1, 22)
local place = 22
-- As long as the longest of what is counted below it, from the day it was last heard of.
local TEAM_LIVES = math.max(400 * DAY, rows_kept, usage_kept)

local time = call('TIME')
local now = fixed_now > 0 and fixed_now or time[1] * 1000000 + time[2]
-- A Lua number becomes text with 14 digits only; this keeps all 16 of a time in microseconds. It is also much faster than
-- leaving it to a command.
local now_text = format('%016d', now)
local deadline = format('%016d', now + ttl)

-- The day was guessed by the caller. If the guess is wrong nothing happens, and the caller guesses again.
if day_end > 0 and (now < day_start or now >= day_end) then
  return { 0, now }
end

-- Read: the reservations that the request names, and those whose time is over.

local ids = { unpack(request, place + 1, place + id_count) }
place = place + id_count
local records, has_open, has_held = {}, true, true
if id_count > 0 then
  ids[id_count + 1] = KEEPER
  records = call('HMGET', HELD, unpack(ids))
  ids[id_count + 1], has_held = nil, records[id_count + 1]
end

if sweep_most == 0 or now > sweep_until then
  -- Also to fail now, and not half-way, should the key hold something else.
  has_open = call('ZCARD', OPEN) > 0
else
  local overdue = call('ZRANGEBYSCORE', OPEN, 0, now_text, 'LIMIT', 0, sweep_most + 1)
  has_open = overdue[1] == KEEPER
  if #overdue > (has_open and 1 or 0) then
    -- Whoever speaks of a reservation in this request is alive: its word counts, not the deadline.
    local named, left_behind = { [KEEPER] = true }, {}
    for i = 1, id_count do
      named[ids[i]] = true
    end
    for _, id in ipairs(overdue) do
      if not named[id] then
        left_behind[#left_behind + 1] = id
      end
    end
    if #left_behind > 0 then
      local count = #left_behind
      left_behind[count + 1] = KEEPER
      local held = call('HMGET', HELD, unpack(left_behind))
      has_held = held[count + 1]
      for i = 1, count do
        ids[id_count + i], records[id_count + i] = left_behind[i], held[i]
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

-- The oldest rows, when the sweep was asked for: they may have been kept long enough.
local oldest = sweep_most > 8 and call('LINDEX', ROWS, -1)
local oldest_free = sweep_most > 8 and call('LINDEX', FREE_ROWS, -1)
