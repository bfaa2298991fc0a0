-- Moves a team from the previous layout (mg1) to this one (mg2): once, in one step, all or nothing.
--
-- KEYS: the team's own hash of mg1, its state of mg2. ARGV: time in place of the server's or 0,
-- lifetime of reservations, time for others to restore after a loss (µs), 1 when an operator
-- accepts what is there; then the days that may have usage.
--
-- Afterwards the team's own hash of mg1 is a string: every step of a process of the previous
-- release fails there before it writes, so that only one layout decides. This is done even if mg1
-- has nothing of the team.
--
-- The revision continues from mg1's last change: so old rows are older than new ones, and an older
-- copy of the store, where the team is not moved yet, is recognized. Rows and usage are renamed and
-- stay as written (see upgrade_text.rs). Everything is read before the first write, and the first
-- write is one that is allowed even when memory is full.
--
-- The answer: 0 nothing to move, 1 moved, 2 closed for a while, or some records are lost; then the
-- number of open calls.

local OLD, STATE = KEYS[1], KEYS[2]
local fixed_now, ttl, gather, accepts = unpack(ARGV)
local call, json = redis.call, cjson.encode
local match, format, sub = string.match, string.format, string.sub
local insert, concat = table.insert, table.concat
local FROM, TO = sub(OLD, 1, -7), sub(STATE, 1, -6)
local OPEN, HELD, THERE, FLOORS = FROM .. 'open', FROM .. 'held', FROM .. 'there', FROM .. 'floors'
local ROWS, FREE_ROWS = FROM .. 'rows', FROM .. 'rows:free'
-- An entry among mg1's reservations that is none.
local KEEPER = string.rep('-', 65)
-- An entry among mg2's deadlines that is none: see writes.rs.
local SKIP_LIST = 'no call: a member of more than 64 bytes makes the server keep a skip list'
-- The same among the ends.
local NOTHING = '-'
local FOR_EVER = 9007199254740991
local DAY = 86400000000
local FENCE_SECONDS = 400 * 86400
local BUCKETS = { rs = '1000000', rm = '60000000', rh = '3600000000' }
local MARKS = { xd = 'day', xm = 'month', xt = 'total' }

local function fence()
  call('DEL', OLD)
  call('SET', OLD, 'moved to mg2', 'EX', FENCE_SECONDS)
end

local function pairs_of(list)
  local map = {}
  for n = 1, #list, 2 do
    map[list[n]] = list[n + 1]
  end
  return map
end

local function read(text, pattern)
  local found = { match(text, pattern) }
  return #found > 0 and found or error('a record of mg1 cannot be read')
end

if call('HEXISTS', STATE, 'r') == 1 then
  return { 1, 0 }
end
if call('TYPE', OLD).ok == 'string' then
  return { 0, 0 }
end
if call('EXISTS', OLD, OPEN, HELD, ROWS, FREE_ROWS, THERE) == 0 then
  fence()
  return { 0, 0 }
end

-- Reads.

local time = call('TIME')
local now = tonumber(fixed_now) > 0 and tonumber(fixed_now) or time[1] * 1000000 + time[2]
local team, held = pairs_of(call('HGETALL', OLD)), pairs_of(call('HGETALL', HELD))
local deadlines = pairs_of(call('ZRANGE', OPEN, 0, -1, 'WITHSCORES'))
local there = pairs_of(call('ZRANGE', THERE, 0, -1, 'WITHSCORES'))
local floors, scopes = {}, { team = team }
for place, least in pairs(pairs_of(call('HGETALL', FLOORS))) do
  local name, field = unpack(read(place, '^(%S+) (%S+)$'))
  floors[name] = floors[name] or {}
  floors[name][field] = read(least, '^(%d+) (%d+)$')
  scopes[name] = scopes[name] or pairs_of(call('HGETALL', FROM .. 's:' .. name))
end
local is_whole = team.e
for name, ends in pairs(there) do
  if sub(name, 1, 2) == 's:' then
    local scope = pairs_of(call('HGETALL', FROM .. name))
    is_whole = is_whole and (next(scope) or now >= ends + 0)
    scopes[sub(name, 3)] = next(scope) and scope
  end
end
-- A closed team waits for what others of that release restore; then it is opened like any other
-- (see keeper/restore.rs).
local lost_at = match(team.l or '', '^C (%d+)')
if accepts ~= '1' and (not is_whole or lost_at and now < lost_at + gather) then
  return { 2, 0 }
end
-- What calls held that are lost becomes free then.
if not lost_at and team.u and not held[KEEPER] then
  lost_at = now
end

-- Builds the new records.

local state, due, ends = {}, { FOR_EVER, SKIP_LIST }, { FOR_EVER, NOTHING }
local gone = { OPEN, HELD, THERE, FLOORS }

local function keep(field, text)
  insert(state, field)
  insert(state, text)
end

local function level_and_whose(name)
  local level, escaped = match(name, '^(%l+):(.*)$')
  if not level then
    return name, ''
  end
  local function unescaped(byte)
    return string.char(tonumber(byte, 16))
  end
  return level, (string.gsub(escaped, '%%(%x%x)', unescaped))
end

-- A window counts no less than any replica saw it count before a loss.
local function window_of(text, least)
  local w = read(text or '0 0 0 0', '^(%d+) (%d+) (%d+) (%d+)')
  local floor = least or { 0, 0 }
  local spent, credits = math.max(w[1], floor[1]), math.max(w[3], floor[2])
  return format('[%d,%d,%d,%d]', spent, w[2], credits, w[4])
end

local function scope_of(name, fields)
  local least, windows = floors[name] or {}, { d = {}, m = {} }
  local names = {}
  for _, map in ipairs({ fields, least }) do
    for field in pairs(map) do
      names[field] = true
    end
  end
  local buckets, crossed = {}, {}
  for field in pairs(names) do
    local kind, window = match(field, '^([dm]):(.+)$')
    if kind then
      insert(windows[kind], format('"%s":', window) .. window_of(fields[field], least[field]))
    elseif BUCKETS[field] then
      local kept, floor = read(fields[field] or '0 0', '^(%d+) (%d+)$'), least[field]
      local bucket = floor and floor[1] + 0 > kept[1] + 0 and floor or kept
      insert(buckets, format('"%s":{"level":%d,"since":%d}', BUCKETS[field], bucket[1], bucket[2]))
    elseif MARKS[field] then
      insert(crossed, format('"%s":"%s"', MARKS[field], fields[field]))
    end
  end
  local known = match(fields.t or '', '^%d+ %d+ %d+ %d+ (%d+)') or 0
  local added = math.max(known, least.p and least.p[2] or 0)
  local ends_at = tonumber(match(fields.u or '', '^(%d+)') or FOR_EVER)
  local is_for_ever = name == 'team' or ends_at >= FOR_EVER
  local text = format('{"total":%s,"days":{%s},"months":{%s},"buckets":{%s},'
    .. '"topped_up":%d,"crossed":{%s},"until":%s}',
    window_of(fields.t, least.t), concat(windows.d, ','), concat(windows.m, ','),
    concat(buckets, ','), added, concat(crossed, ','),
    is_for_ever and 'null' or format('%d', ends_at))
  return text, not is_for_ever and ends_at
end

local function call_of(id, record)
  local phase, admitted, day, price, names, asked = unpack(
    read(record, '^([WDT]) (%d+) (%d%d%d%d%-%d%d%-%d%d) (%d+) %S+ %S* ([^{]*)({.*)$'))
  local held_by, a = {}, cjson.decode(asked)
  for name in string.gmatch(names, '%S+') do
    local level, whose = level_and_whose(name)
    insert(held_by, format('["%s",', level) .. json(whose) .. ']')
  end
  local deadline = tonumber(deadlines[id]) or now + ttl
  insert(due, format('%d', deadline))
  insert(due, id)
  local summary = concat({
    json(a.request_id), json(a.user), json(a.credential), a.key and json(a.key) or 'null',
    json(a.model), format('%d', a.images or 0), format('%d', a.seconds or 0),
    json(a.price_version or ''),
  }, ',')
  keep('c:' .. id, phase .. format('0[%s,"%s",%d,%d,[', price, day, admitted, deadline)
    .. concat(held_by, ',') .. '],[' .. summary .. '],0]')
end

local paid, free = call('LLEN', ROWS), call('LLEN', FREE_ROWS)
local lost = read(team.lost or '0 0 0 0', '^(%d+) (%d+) (%d+) (%d+)$')
local lives = tonumber(match(team.u or '', '^%d+') or 0)
keep('r', (team.e or format('%d 0', now)) .. ' 0')
local prepaid = 0
for name, fields in pairs(scopes) do
  if fields then
    local level, whose = level_and_whose(name)
    local field = 's:' .. level .. ':' .. whose
    local text, end_of_it = scope_of(name, fields)
    keep(field, text)
    if end_of_it then
      insert(ends, format('%d', end_of_it))
      insert(ends, field)
    end
    if not end_of_it and (level == 'user' or level == 'key') then
      prepaid = prepaid + 1
    end
    if name ~= 'team' then
      insert(gone, FROM .. 's:' .. name)
    end
  end
end
keep('m', format('{"rows":[%d,%d],"lost":[%d,%d],"lost_until":[%d,%d],"rows_until":[%d,%d],'
  .. '"until":%d,"prepaid":%d%s}',
  paid, free, lost[1], lost[2], lost[3], lost[4], team.w or 0, team.wf or 0, lives, prepaid,
  lost_at and format(',"loss":{"closed":true,"noticed_at":%d}', lost_at) or ''))
local open = 0
for id, record in pairs(held) do
  -- A mark in place of a reservation means that it has ended.
  if id ~= KEEPER and record ~= 'X' then
    call_of(id, record)
    open = open + 1
  end
end
local days = {}
for n = 5, #ARGV do
  days[ARGV[n]] = true
end
for name in pairs(there) do
  if sub(name, 1, 6) == 'usage:' then
    days[sub(name, 7)] = true
  elseif sub(name, 1, 6) == 'topup:' then
    local text = call('GET', FROM .. name)
    if text then
      local scope, credits = unpack(read(text, '^(%S+) (%d+)$'))
      local level, whose = level_and_whose(scope)
      local json_scope = '{"level":"' .. level .. '","whose":' .. json(whose) .. '}'
      keep('t:' .. sub(name, 7), '{"scope":' .. json_scope .. ',"credits":' .. credits .. '}')
      insert(gone, FROM .. name)
    end
  end
end
local renamed = { { ROWS, TO .. 'rows' }, { FREE_ROWS, TO .. 'rows:free' } }
for day in pairs(days) do
  local cells = call('HLEN', FROM .. 'usage:' .. day)
  if cells > 0 then
    local left = call('PTTL', FROM .. 'usage:' .. day)
    keep('d:' .. day, cells)
    if left > 0 then
      -- Before the usage itself expires, so that it is never taken for lost.
      insert(ends, format('%d', now + left * 1000 - math.min(DAY, left * 250)))
      insert(ends, 'd:' .. day)
    end
    insert(renamed, { FROM .. 'usage:' .. day, TO .. 'usage:' .. day })
  end
end

-- Writes.

local function in_chunks(words, ...)
  local command = { ... }
  for first = 1, #words, 1000 do
    local all = { unpack(command) }
    for n = first, math.min(first + 999, #words) do
      insert(all, words[n])
    end
    call(unpack(all))
  end
end

fence()
for _, names in ipairs(renamed) do
  if call('EXISTS', names[1]) == 1 then
    call('RENAME', names[1], names[2])
  end
end
in_chunks(gone, 'UNLINK')
in_chunks(state, 'HSET', STATE)
in_chunks(due, 'ZADD', TO .. 'due')
in_chunks(ends, 'ZADD', TO .. 'ends')
if lives > now and lives < FOR_EVER then
  for _, key in ipairs({ STATE, TO .. 'due', TO .. 'ends' }) do
    call('PEXPIRE', key, format('%d', (lives - now) / 1000))
  end
end
return { 1, open }
