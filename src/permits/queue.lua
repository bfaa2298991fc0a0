-- Part 2: the queue, the operations, the answer, and the writes.

local length = call('ZCARD', QUEUE)
local virtual = length > 0 and tonumber(call('HGET', TEAMS, '') or 0) or 0
local teams = {}

local function team_named(name)
  local team = teams[name]
  if not team then
    local kept = length > 0 and call('HGET', TEAMS, name)
    local finish, count = 0, 0
    if kept then
      finish, count = match(kept, '^(%d+) (%d+)$')
    end
    team = { finish = finish + 0, count = count + 0 }
    teams[name] = team
  end
  return team
end

local entries = {}

local function entry_of(id)
  local entry = entries[id]
  if entry == nil then
    entry = call('HGET', ENTRIES, id)
    entries[id] = entry
  end
  return entry
end

local gone, kept, waits = {}, {}, {}

local function put(id, entry, ttl)
  entries[id], kept[id], gone[id] = entry, entry, nil
  waits[id] = now + ttl
end

local function drop(id)
  entries[id], kept[id], waits[id] = false, nil, nil
  gone[id] = true
end

local function leave_queue(id, entry)
  if call('ZREM', QUEUE, id) == 1 then
    length = length - 1
    local team = team_named(match(entry, '^W (%S+)'))
    team.count = team.count > 0 and team.count - 1 or 0
  end
end

local function finish(id)
  local entry = entry_of(id)
  if not entry then
    return
  end
  if entry:sub(1, 1) == 'W' then
    leave_queue(id, entry)
  else
    local granted_at, name = match(entry, '^. (%d+) (%S+)$')
    give_back(key_named(name), granted_at + 0)
  end
  drop(id)
end

local function grant(id, state, key)
  take(key)
  put(id, state .. ' ' .. text(now) .. ' ' .. key.name, state == 'T' and known_ttl or position_ttl)
end

local function first_with_room(key_names)
  if opens(account) > 0 then
    return nil
  end
  for _, name in ipairs(key_names) do
    local key = key_named(name)
    if key_opens(key) == 0 then
      return key
    end
  end
end

local function keys_of(entry)
  local rest = match(entry, '^W %S+ %S+ (.*)$')
  local found = {}
  for name in gmatch(rest, '%S+') do
    found[#found + 1] = name
  end
  return found
end

local function any_room()
  if opens(account) > 0 then
    return false
  end
  for _, key in pairs(keys) do
    if key_opens(key) == 0 then
      return true
    end
  end
  return false
end

-- Grants permits from the front of the queue, to calls whose keys have room.
local function grant_waiting()
  local skipped = 0
  while length > skipped and skipped < SEARCH_MAX and any_room() do
    local found = call('ZRANGE', QUEUE, skipped, skipped + 63, 'WITHSCORES')
    if #found == 0 then
      return
    end
    for n = 1, #found, 2 do
      local id, entry = found[n], entry_of(found[n])
      local key = entry and first_with_room(keys_of(entry))
      if key then
        leave_queue(id, entry)
        virtual = math.max(virtual, tonumber(found[n + 1]))
        grant(id, 'G', key)
      elseif entry then
        skipped = skipped + 1
      else
        -- A position without a record: nobody waits for it.
        call('ZREM', QUEUE, id)
        length = length - 1
        drop(id)
      end
    end
  end
end

-- Reads the operations.

local operations, op_count = {}, request[at + 1]
at = at + 1
local named = {}
for n = 1, op_count do
  local op = request[at + 1]
  local operation = { op = op, id = request[at + 2] }
  if op == ASK then
    operation.team, operation.weight = request[at + 3], request[at + 4]
    operation.turned_back, operation.keys = request[at + 5], {}
    local count = request[at + 6]
    for k = 1, count do
      operation.keys[k] = names[request[at + 6 + k]]
    end
    at = at + 6 + count
  elseif op == WAIT or op == LEAVE then
    at = at + 2
  else
    operation.id, operation.key = false, names[request[at + 2]]
    operation.remaining, operation.reset = request[at + 3], request[at + 4]
    at = at + 4
  end
  if operation.id then
    named[operation.id] = true
  end
  operations[n] = operation
end

-- Ends what was left behind, unless this batch names it: then its replica is alive.

for _, id in ipairs(call('ZRANGEBYSCORE', DEADLINES, 0, text(now), 'LIMIT', 0, SWEEP_MAX)) do
  if not named[id] then
    local entry = entry_of(id)
    -- A permit that its replica knows of may have been used: it stays taken.
    if entry and entry:sub(1, 1) ~= 'T' then
      finish(id)
    else
      drop(id)
    end
  end
end

-- Permits given back and the upstream's reports are applied before permits are granted.

local function note_report(operation)
  local key, ends = key_named(operation.key), operation.reset
  local ahead = ends - now
  if ahead <= 0 then
    return
  end
  local reported = key.reported[ahead <= MINUTE + SECOND and 1 or ahead <= DAY + SECOND and 2 or 3]
  local same = now < reported.ends and math.abs(reported.ends - ends) <= SECOND
  if same then
    if operation.remaining < reported.left then
      reported.left, reported.since, reported.changed = operation.remaining, now, true
    end
  elseif now >= reported.ends or operation.remaining < reported.left then
    reported.left, reported.ends = operation.remaining, ends
    reported.since, reported.changed = now, true
  end
end

for _, operation in ipairs(operations) do
  if operation.op == LEAVE then
    finish(operation.id)
  elseif operation.op ~= ASK and operation.op ~= WAIT then
    note_report(operation)
  end
end
grant_waiting()

-- New calls: granted at once if nobody waits and there is room, else queued.

local full = {}

local function put_waiting(operation)
  local usable = table.concat(operation.keys, ' ')
  put(operation.id,
    'W ' .. operation.team .. ' ' .. operation.weight .. ' ' .. usable, position_ttl)
end

local function join(operation)
  local team = team_named(operation.team)
  if operation.turned_back == 0 and (length >= length_max or team.count >= team_length_max) then
    full[operation.id] = true
    return
  end
  local tag = virtual
  if operation.turned_back == 0 then
    tag = math.max(virtual, team.finish) + math.floor(STEP / operation.weight)
    team.finish = tag
  end
  team.count, length = team.count + 1, length + 1
  call('ZADD', QUEUE, text(tag), operation.id)
  put_waiting(operation)
end

local joined = false
for _, operation in ipairs(operations) do
  local entry = operation.op == ASK and entry_of(operation.id)
  if operation.op == ASK and not entry then
    local key = length == 0 and first_with_room(operation.keys)
    if key then
      grant(operation.id, 'T', key)
    else
      join(operation)
      joined = true
    end
  elseif entry and entry:sub(1, 1) == 'W' then
    -- After a reload it may use other keys.
    put_waiting(operation)
    joined = true
  end
end
if joined then
  grant_waiting()
end

-- The answer: calls left in each window (-1: no limit), then for each asking or waiting call a code
-- and its arguments.

local reply, items = { 1, now }, 2
local function append(value)
  items = items + 1
  reply[items] = value
end

local function append_left(windows)
  for n = 1, 3 do
    local window = windows[n]
    append(window.limit > 0 and math.max(window.limit - window.taken, 0) or -1)
  end
end
append_left(account)
for n = 1, key_count do
  append_left(keys[names[n]].windows)
end

local function earliest(key_names)
  local earliest, whole = -1, opens(account)
  for _, name in ipairs(key_names) do
    local this = math.max(whole, key_opens(key_named(name)))
    earliest = (earliest < 0 or this < earliest) and this or earliest
  end
  return earliest > now and earliest or now
end

for _, operation in ipairs(operations) do
  if operation.op == ASK or operation.op == WAIT then
    local entry = entry_of(operation.id)
    if full[operation.id] then
      append(3)
    elseif not entry then
      append(4)
    elseif entry:sub(1, 1) == 'W' then
      waits[operation.id] = now + position_ttl
      append(2)
      append(call('ZRANK', QUEUE, operation.id) or 0)
      append(earliest(keys_of(entry)))
    else
      local granted_at, name = match(entry, '^. (%d+) (%S+)$')
      put(operation.id, 'T ' .. granted_at .. ' ' .. name, known_ttl)
      append(1)
      append(name)
      append(left_of(key_named(name)))
    end
  end
end

-- Writes.

local function write_windows(windows)
  for n = 1, 3 do
    local window = windows[n]
    if window.changed then
      call('HSET', WINDOWS, window.field,
        text(window.starts) .. ' ' .. text(window.ends) .. ' ' .. text(window.taken))
    end
  end
end
write_windows(account)
for _, key in pairs(keys) do
  write_windows(key.windows)
  for n = 1, 3 do
    local reported = key.reported[n]
    if reported.changed then
      local left = math.max(reported.left, 0)
      call('HSET', WINDOWS, reported.field,
        text(reported.since) .. ' ' .. text(reported.ends) .. ' ' .. text(left))
    end
  end
end
call('EXPIRE', WINDOWS, WINDOWS_TTL)

for id in pairs(gone) do
  call('HDEL', ENTRIES, id)
  call('ZREM', DEADLINES, id)
end
for id, entry in pairs(kept) do
  call('HSET', ENTRIES, id, entry)
end
for id, deadline in pairs(waits) do
  call('ZADD', DEADLINES, text(deadline), id)
end
if length == 0 then
  call('DEL', TEAMS)
else
  call('HSET', TEAMS, '', text(virtual))
  for name, team in pairs(teams) do
    call('HSET', TEAMS, name, text(team.finish) .. ' ' .. text(team.count))
  end
end
for _, key in ipairs({ QUEUE, ENTRIES, DEADLINES, TEAMS }) do
  call('EXPIRE', key, QUEUE_TTL)
end
return reply
