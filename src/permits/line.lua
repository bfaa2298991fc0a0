-- Part 2: the line, what each word does to it, the answer, and everything that changed.

local length = call('ZCARD', LINE)
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

local places = {}

local function place_of(id)
  local place = places[id]
  if place == nil then
    place = call('HGET', PLACES, id)
    places[id] = place
  end
  return place
end

local gone, kept, waits = {}, {}, {}

local function put(id, place, ttl)
  places[id], kept[id], gone[id] = place, place, nil
  waits[id] = now + ttl
end

local function drop(id)
  places[id], kept[id], waits[id] = false, nil, nil
  gone[id] = true
end

local function step_out(id, place)
  if call('ZREM', LINE, id) == 1 then
    length = length - 1
    local team = team_named(match(place, '^W (%S+)'))
    team.count = team.count > 0 and team.count - 1 or 0
  end
end

local function finish(id)
  local place = place_of(id)
  if not place then
    return
  end
  if place:sub(1, 1) == 'W' then
    step_out(id, place)
  else
    local granted_at, name = match(place, '^. (%d+) (%S+)$')
    give_back(key_named(name), granted_at + 0)
  end
  drop(id)
end

local function grant(id, state, key)
  take(key)
  put(id, state .. ' ' .. text(now) .. ' ' .. key.name, state == 'T' and told_ttl or place_ttl)
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

local function keys_of(place)
  local rest = match(place, '^W %S+ %S+ (.*)$')
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

-- Lets those pass who come first and whose keys have room.
local function let_pass()
  local passed_over = 0
  while length > passed_over and passed_over < LOOK_MOST and any_room() do
    local found = call('ZRANGE', LINE, passed_over, passed_over + 63, 'WITHSCORES')
    if #found == 0 then
      return
    end
    for n = 1, #found, 2 do
      local id, place = found[n], place_of(found[n])
      local key = place and first_with_room(keys_of(place))
      if key then
        step_out(id, place)
        virtual = math.max(virtual, tonumber(found[n + 1]))
        grant(id, 'G', key)
      elseif place then
        passed_over = passed_over + 1
      else
        -- A place without a record: whatever it was, nobody waits on it.
        call('ZREM', LINE, id)
        length = length - 1
        drop(id)
      end
    end
  end
end

-- What was left behind, unless this round speaks of it: whoever speaks of a call is alive.

local words, op_count = {}, request[at + 1]
at = at + 1
local spoken_of = {}
for n = 1, op_count do
  local op = request[at + 1]
  local word = { op = op, id = request[at + 2] }
  if op == ASK then
    word.team, word.weight, word.again, word.keys = request[at + 3], request[at + 4], request[at + 5], {}
    local count = request[at + 6]
    for k = 1, count do
      word.keys[k] = names[request[at + 6 + k]]
    end
    at = at + 6 + count
  elseif op == WAIT or op == LEAVE then
    at = at + 2
  else
    word.id, word.key, word.remaining, word.reset = false, names[request[at + 2]], request[at + 3], request[at + 4]
    at = at + 4
  end
  if word.id then
    spoken_of[word.id] = true
  end
  words[n] = word
end

for _, id in ipairs(call('ZRANGEBYSCORE', DEADLINES, 0, text(now), 'LIMIT', 0, SWEEP_MOST)) do
  if not spoken_of[id] then
    local place = place_of(id)
    -- Whether a permit that was told was used, nobody knows: it stays taken.
    if place and place:sub(1, 1) ~= 'T' then
      finish(id)
    else
      drop(id)
    end
  end
end

-- What is given back and what the upstream told comes before what is taken.

local function note_told(word)
  local key, ends = key_named(word.key), word.reset
  local ahead = ends - now
  if ahead <= 0 then
    return
  end
  local told = key.told[ahead <= MINUTE + SECOND and 1 or ahead <= DAY + SECOND and 2 or 3]
  local same = now < told.ends and math.abs(told.ends - ends) <= SECOND
  if same then
    if word.remaining < told.left then
      told.left, told.since, told.changed = word.remaining, now, true
    end
  elseif now >= told.ends or word.remaining < told.left then
    told.left, told.ends, told.since, told.changed = word.remaining, ends, now, true
  end
end

for _, word in ipairs(words) do
  if word.op == LEAVE then
    finish(word.id)
  elseif word.op ~= ASK and word.op ~= WAIT then
    note_told(word)
  end
end
let_pass()

-- Who asks: at once where nobody waits and there is room, else to the line.

local full = {}

local function join(word)
  local team = team_named(word.team)
  if word.again == 0 and (length >= length_most or team.count >= team_most) then
    full[word.id] = true
    return
  end
  local tag = virtual
  if word.again == 0 then
    tag = math.max(virtual, team.finish) + math.floor(STEP / word.weight)
    team.finish = tag
  end
  team.count, length = team.count + 1, length + 1
  call('ZADD', LINE, text(tag), word.id)
  put(word.id, 'W ' .. word.team .. ' ' .. word.weight .. ' ' .. table.concat(word.keys, ' '), place_ttl)
end

local joined = false
for _, word in ipairs(words) do
  local place = word.op == ASK and place_of(word.id)
  if word.op == ASK and not place then
    local key = length == 0 and first_with_room(word.keys)
    if key then
      grant(word.id, 'T', key)
    else
      join(word)
      joined = true
    end
  elseif place and place:sub(1, 1) == 'W' then
    -- It may use other keys by now.
    put(word.id, 'W ' .. word.team .. ' ' .. word.weight .. ' ' .. table.concat(word.keys, ' '), place_ttl)
    joined = true
  end
end
if joined then
  let_pass()
end

-- The answer: what is left in each window (-1: no limit), then of each who asks or waits a number and what belongs to it.

local reply, said = { 1, now }, 2
local function say(value)
  said = said + 1
  reply[said] = value
end

local function say_left(windows)
  for n = 1, 3 do
    local window = windows[n]
    say(window.limit > 0 and math.max(window.limit - window.taken, 0) or -1)
  end
end
say_left(account)
for n = 1, key_count do
  say_left(keys[names[n]].windows)
end

local function earliest(key_names)
  local earliest, whole = -1, opens(account)
  for _, name in ipairs(key_names) do
    local this = math.max(whole, key_opens(key_named(name)))
    earliest = (earliest < 0 or this < earliest) and this or earliest
  end
  return earliest > now and earliest or now
end

for _, word in ipairs(words) do
  if word.op == ASK or word.op == WAIT then
    local place = place_of(word.id)
    if full[word.id] then
      say(3)
    elseif not place then
      say(4)
    elseif place:sub(1, 1) == 'W' then
      waits[word.id] = now + place_ttl
      say(2)
      say(call('ZRANK', LINE, word.id) or 0)
      say(earliest(keys_of(place)))
    else
      local granted_at, name = match(place, '^. (%d+) (%S+)$')
      put(word.id, 'T ' .. granted_at .. ' ' .. name, told_ttl)
      say(1)
      say(name)
      say(left_of(key_named(name)))
    end
  end
end

-- Write.

local function write_windows(windows)
  for n = 1, 3 do
    local window = windows[n]
    if window.changed then
      call('HSET', WINDOWS, window.field, text(window.starts) .. ' ' .. text(window.ends) .. ' ' .. text(window.taken))
    end
  end
end
write_windows(account)
for _, key in pairs(keys) do
  write_windows(key.windows)
  for n = 1, 3 do
    local told = key.told[n]
    if told.changed then
      call('HSET', WINDOWS, told.field, text(told.since) .. ' ' .. text(told.ends) .. ' ' .. text(math.max(told.left, 0)))
    end
  end
end
call('EXPIRE', WINDOWS, WINDOWS_TTL)

for id in pairs(gone) do
  call('HDEL', PLACES, id)
  call('ZREM', DEADLINES, id)
end
for id, place in pairs(kept) do
  call('HSET', PLACES, id, place)
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
for _, key in ipairs({ LINE, PLACES, DEADLINES, TEAMS }) do
  call('EXPIRE', key, LINE_TTL)
end
return reply
