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
local COUNT_AGAIN_MOST = 20000

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

-- Lets a key live until a moment and a while longer; until then it must be there.
local function must_be_there(what, ends, longer)
  let_live(PREFIX .. what, ends < FOR_EVER and ends + longer - now or FOR_EVER)
  call('ZADD', THERE, format('%d', ends), what)
end

-- The same for what is kept for so long.
local function is_kept_for(what, kept)
  local longer = math.min(DAY, kept / 4)
  must_be_there(what, now + kept - longer, longer)
end

-- Forgets a few of those whose time is over.
local function forget_some()
  local over = call('ZRANGEBYSCORE', THERE, 0, now_text, 'LIMIT', 0, 16)
  if #over > 0 then
    call('ZREM', THERE, unpack(over))
  end
end

-- Adds a call to what its scopes count in every window: requests spent and reserved, credits spent and reserved.
local function add_call(sums, its_day, names, unit, credits)
  for name in string.gmatch(names, '%S+') do
    local its = sums['s:' .. name]
    for _, field in ipairs(its and { 'd:' .. its_day, 'm:' .. sub(its_day, 1, 7), 't' } or {}) do
      local sum = its[field] or { 0, 0, 0, 0 }
      sum[unit], sum[unit + 2] = sum[unit] + 1, sum[unit + 2] + credits
      its[field] = sum
    end
  end
end

-- Of records and rows, `day price model user scope scope.. ` up to what was asked.
local HELD_CALL = '^%a %d+ (%S+) (%d+) %S+ %S+ ([^{]*){'
local ENDED_CALL = '^%S+ (%a+) (%d+) (%d+) %a %d+ (%S+) %d+ %S+ %S+ ([^{]*){'

local function add_held(sums)
  local held = call('HVALS', HELD)
  for n = 1, #held do
    local its_day, price, names = match(held[n], HELD_CALL)
    if names then
      add_call(sums, its_day, names, 2, price)
    end
  end
end

-- As many of the last as can be read while everybody waits; what came before them is known to those who saw it.
local function add_ended(sums)
  for first = 0, COUNT_AGAIN_MOST - 1, 1000 do
    local some = call('LRANGE', ROWS, first, first + 999)
    for n = 1, #some do
      local outcome, charged, settled_at, its_day, names = match(some[n], ENDED_CALL)
      if names and outcome ~= OUTCOMES[RELEASED] then
        add_call(sums, its_day, names, 1, charged)
      end
    end
    if #some < 1000 then
      return
    end
  end
end

-- Counts scopes again, from the calls that are open and the rows of those that ended. Of one that is still there only what
-- is reserved may be wrong.
local function count_again(names)
  local sums = {}
  for _, name in ipairs(names) do
    if sub(name, 1, 2) == 's:' then
      sums[name] = {}
    end
  end
  if not next(sums) then
    return
  end
  add_held(sums)
  add_ended(sums)
  for name, its in pairs(sums) do
    local counted = call('HGETALL', PREFIX .. name)
    local changes, is_gone = {}, true
    for n = 1, #counted, 2 do
      local field = counted[n]
      local a, c, rest = match(counted[n + 1], '^(%d+) %d+ (%d+) %d+(.*)$')
      if a then
        local sum = its[field] or { 0, 0, 0, 0 }
        is_gone = false
        changes[#changes + 1] = field
        changes[#changes + 1] = format('%s %d %s %d%s', a, sum[2], c, sum[4], rest)
      end
    end
    for field, sum in pairs(is_gone and its or {}) do
      changes[#changes + 1] = field
      changes[#changes + 1] = format('%d %d %d %d', sum[1], sum[2], sum[3], sum[4])
    end
    if #changes > 0 then
      call('HSET', PREFIX .. name, unpack(changes))
      let_live(PREFIX .. name, 40 * DAY)
    end
  end
end

-- Puts what is open in order again, by deadline.
local function count_open()
  local held = call('HGETALL', HELD)
  for n = 1, #held, 2 do
    if held[n] ~= KEEPER then
      call('ZADD', OPEN, (held[n + 1] == 'X' and '-' or '') .. deadline, held[n])
    end
  end
end
