-- Part 2: which of the team's keys must be there. Redis may evict keys, and people delete them: one that is gone before its
-- time, while others of the team stand, is a loss (epoch.lua).
--
-- The team's own hash, its two of open reservations and this sorted set live as long as each other. The set says of every
-- other key until when it must be there, by its name behind the team's prefix, in microseconds. Redis drops it later than
-- that, so that none is taken for lost whose time is just over.

local PREFIX = sub(OPEN, 1, -5)
local THERE = PREFIX .. 'there'
-- The largest integer that is exact.
local FOR_EVER = 9007199254740991

-- Teams of which an earlier release wrote last have no such set yet.
local is_watched = false
local lost = {}

-- Notes a key that was looked for in vain, unless that is in order.
local function note_if_lost(what)
  if not is_watched then
    return
  end
  local ends, keeper = unpack(call('ZMSCORE', THERE, what, KEEPER))
  if not keeper or (ends and now < ends + 0) then
    lost[#lost + 1] = what
  end
end

local function let_live(key, micros)
  if micros >= FOR_EVER then
    call('PERSIST', key)
  else
    call('PEXPIRE', key, format('%d', micros / 1000))
  end
end

-- Lets a key live until a moment. It must be there until shortly before: none whose time is just over is taken for lost.
local function must_be_there(what, ends)
  local left = ends < FOR_EVER and ends - now or FOR_EVER
  let_live(PREFIX .. what, left)
  call('ZADD', THERE, format('%d', ends < FOR_EVER and ends - math.min(DAY, left / 4) or ends), what)
end
