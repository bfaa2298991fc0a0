-- Part 4: whether the store still has what its callers have seen in it. What was lost is never a fresh budget.
--
-- In the team's own scope stand the epoch and the number of the last change (e: `epoch seq`). A caller says the latest
-- it has seen. Should the store know less (it was flushed, an older copy was loaded, or a replica was promoted that
-- lacked the last writes), the team is closed under a new epoch, and everyone who comes brings what the store lacks
-- (redo.lua). After that it opens again, at once or when an operator says so.
--
-- What is known of the last loss (l: `state noticed_at origin kept_epoch kept_seq records_from`, state C(losed) or O(pen)):
-- whatever was changed after kept_epoch and kept_seq, or before the epoch `origin`, is not in here unless it was brought
-- since; nor is what a call holds that was admitted before the epoch `records_from` and has not ended.
-- Epochs grow, since each is the time it was made at, or one more than the one before.
--
-- Some of a team's keys may be lost while others stand (there.lua). That is a loss like any other, but that no call's
-- change is missing: what is reserved is counted again from what is open, and the callers bring what they saw spent.

local MAY_MAKE, MUST_HAVE, REDOING, ACCEPTING, LOOKING = 1, 2, 3, 4, 5
local FLOORS = PREFIX .. 'floors'
local VOUCHED = PREFIX .. 'vouched:'

local team = scope_named('team')
local epoch, seq, epoch_is_new, loss_is_over = 0, 0, false, false
local closed, lost_at, origin, kept_epoch, kept_seq, records_from = false, 0, 0, 0, 0, 0
if team.epoch then
  local made, last = match(team.epoch, '^(%d+) (%d+)$')
  epoch, seq, origin = made + 0, last + 0, made + 0
end
if team.loss then
  local state, at, first, e, s, r = match(team.loss, '^(%a) (%d+) (%d+) (%d+) (%d+) ?(%d*)$')
  closed, lost_at, origin, kept_epoch, kept_seq = state == 'C', at + 0, first + 0, e + 0, s + 0
  records_from = tonumber(r) or 0
end
is_watched = team.lives and true

-- The caller is told what the store has, and brings what it knows beyond that.
local function not_now()
  return { 2, now, epoch, seq, closed and 1 or 0, origin, kept_epoch, kept_seq, records_from }
end

-- Lets what stands as long as the team live until a moment, and sees to it that it is there. The epoch stands in a second
-- key as well: should the team's own hash be lost, the next one is later all the same. (The first write is one that is done
-- even when memory is short.)
local function stand_until(ends)
  call('PERSIST', OPEN)
  call('ZADD', OPEN, 0, KEEPER)
  call('HSET', HELD, KEEPER, format('%d', epoch))
  call('ZADD', THERE, FOR_EVER, KEEPER)
  call('HSET', team.key, 'u', format('%d %d', ends, epoch))
  for _, key in ipairs({ OPEN, HELD, THERE, team.key }) do
    let_live(key, ends < FOR_EVER and ends - now or ends)
  end
end

-- Counts scopes again, from the calls that are open and the rows of those that ended. Of one that is still there only what
-- is reserved may be wrong. (What is rarely needed is made when it is: each function costs every request a little.)
local function count_again(names)
  -- As many of the last rows as can be read while everybody waits; what came before them is known to those who saw it.
  local ROWS_MOST = 20000
  -- Of records and rows, `day price model user scope scope.. ` up to what was asked.
  local HELD_CALL = '^%a %d+ (%S+) (%d+) %S+ %S+ ([^{]*){'
  local ENDED_CALL = '^%S+ (%a+) (%d+) %d+ ?%d* %a %d+ (%S+) %d+ %S+ %S+ ([^{]*){'
  local sums = {}
  for _, name in ipairs(names) do
    if sub(name, 1, 2) == 's:' then
      sums[name] = {}
    end
  end
  if not next(sums) then
    return
  end

  -- Adds a call to what its scopes count: requests spent and reserved, credits spent and reserved.
  local function add_call(its_day, its_names, unit, credits)
    for name in string.gmatch(its_names, '%S+') do
      local its = sums['s:' .. name]
      for _, field in ipairs(its and { 'd:' .. its_day, 'm:' .. sub(its_day, 1, 7), 't' } or {}) do
        local sum = its[field] or { 0, 0, 0, 0 }
        sum[unit], sum[unit + 2] = sum[unit] + 1, sum[unit + 2] + credits
        its[field] = sum
      end
    end
  end
  local held = call('HVALS', HELD)
  for n = 1, #held do
    local its_day, price, its_names = match(held[n], HELD_CALL)
    if its_names then
      add_call(its_day, its_names, 2, price)
    end
  end
  for _, list in ipairs({ ROWS, FREE_ROWS }) do
    local first, some = 0, {}
    repeat
      some = call('LRANGE', list, first, first + 999)
      for n = 1, #some do
        local outcome, charged, its_day, its_names = match(some[n], ENDED_CALL)
        if its_names and outcome ~= OUTCOMES[RELEASED] then
          add_call(its_day, its_names, 1, charged)
        end
      end
      first = first + 1000
    until #some < 1000 or first == ROWS_MOST
  end

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

-- The store has lost all that came after the last change it knows, or, with `in_part`, some of the team's keys while others
-- stand. The team is closed under a later epoch.
local function lose(in_part)
  local holds = call('EXISTS', HELD) == 1
  local knew = epoch
  local before = tonumber(call('HGET', HELD, KEEPER) or 0)
  epoch = math.max(now, known_epoch + 1, epoch + 1, before + 1)
  if not in_part then
    kept_epoch, kept_seq = knew, seq
    origin = knew > 0 and origin or epoch
  elseif knew == 0 then
    -- Its own hash is gone. Of nobody's calls anything is missing, whatever the number of their last change.
    kept_epoch, kept_seq, origin = epoch - 1, FOR_EVER, 0
    lost[#lost + 1] = 's:team'
  elseif not closed or not holds then
    kept_epoch, kept_seq = knew, seq
  end
  closed, lost_at = true, now
  if in_part and not holds then
    -- What is running is brought; what the sums hold beside it nobody can end any more.
    records_from = epoch
    call('ZREMRANGEBYSCORE', OPEN, '-inf', '(0')
    call('ZREMRANGEBYSCORE', OPEN, '(0', '+inf')
  elseif in_part and not has_open then
    local held = call('HGETALL', HELD)
    for n = 1, #held, 2 do
      if held[n] ~= KEEPER then
        call('ZADD', OPEN, (held[n + 1] == 'X' and '-' or '') .. deadline, held[n])
      end
    end
  end
  call('HSET', team.key, 'e', format('%d %d', epoch, seq), 'l',
    format('C %d %d %d %d %d', lost_at, origin, kept_epoch, kept_seq, records_from))
  call('HSET', HELD, KEEPER, format('%d', epoch))
  if in_part then
    call('HDEL', team.key, 'w', 'wf', 'f')
    if #lost > 0 then
      call('ZREM', THERE, unpack(lost))
    end
    local in_doubt = lost
    if not holds then
      in_doubt = call('ZRANGE', THERE, 0, -1)
      in_doubt[#in_doubt + 1] = 's:team'
    end
    stand_until(now + TEAM_LIVES)
    count_again(in_doubt)
    let_live(team.key, TEAM_LIVES)
  end
  return not_now()
end

if epoch == 0 and call('EXISTS', OPEN, HELD, ROWS, FREE_ROWS, THERE) > 0 then
  return lose(true)
end
local lacks = known_epoch > 0 and (known_epoch ~= epoch or known_seq > seq)
if lacks or (mode == MUST_HAVE and epoch == 0) then
  -- A caller of an earlier epoch was not there when the loss was noticed. Without one, somebody who knew nothing has taken
  -- the store for new.
  local was_away = known_epoch < epoch and team.loss
  if not was_away then
    return lose(false)
  end
  return not_now()
end
if is_watched and not (has_open and has_held) then
  return lose(true)
end
if mode == LOOKING then
  for i = 1, id_count do
    if call('EXISTS', PREFIX .. ids[i]) == 0 then
      note_if_lost(ids[i])
    end
  end
  return #lost > 0 and lose(true) or { 3, now }
end
if closed and mode ~= REDOING then
  if mode ~= ACCEPTING and (hold == 1 or now < lost_at + gather) then
    return not_now()
  end
  closed, loss_is_over = false, true
end
if epoch == 0 then
  -- Nothing was ever counted here, as far as this store knows. Whether that may be so is not known here; the caller has
  -- found out, and left its mark before: without it the store was emptied since, and what was found out is void.
  local may_make = mode == MAY_MAKE and call('EXISTS', VOUCHED .. format('%d', voucher)) == 1
  if not may_make and mode ~= ACCEPTING and team.total[6] then
    return { 3, now }
  end
  epoch, origin, epoch_is_new = now, now, true
end

local FIELDS_OF_BUCKETS = { rs = true, rm = true, rh = true }

-- A window never counts less than somebody saw it count; a bucket is never emptier than somebody saw it; and no less was
-- topped up (p) than somebody saw.
local function raise(name, field, calls, credits)
  local scope = scope_named(name)
  if FIELDS_OF_BUCKETS[field] then
    local bucket = bucket_of(scope, field)
    if calls > bucket[1] then
      bucket[1], bucket[2], bucket[3] = calls, credits, true
    end
    return
  end
  if field == 'p' then
    local total, more = scope.total, credits - (scope.total[7] or 0)
    if more > 0 then
      total[7], total[8], scope.changed = credits, (total[8] or 0) + more, true
    end
    return
  end
  local window = field == today and scope.today or field == this_month and scope.this_month
    or field == 't' and scope.total or other_window(scope, field)
  if calls > window[1] or credits > window[3] then
    window[1], window[3], window[5] = math.max(window[1], calls), math.max(window[3], credits), true
    scope.changed = true
  end
end

if loss_is_over then
  -- Nobody could put off a deadline meanwhile: nothing is overdue (write.lua gives it time).
  for i = #ids, id_count + 1, -1 do
    ids[i], records[i] = nil, nil
  end
  -- Everyone who could has brought the calls that were missing; only now is it known what is still unaccounted for.
  local floors = call('HGETALL', FLOORS)
  if #floors == 0 and call('HGET', team.key, 'f') then
    closed = true
    return lose(true)
  end
  for n = 1, #floors, 2 do
    local name, field = match(floors[n], '^(%S+) (%S+)$')
    local calls, credits = match(floors[n + 1], '^(%d+) (%d+)$')
    raise(name, field, calls + 0, credits + 0)
  end
end
