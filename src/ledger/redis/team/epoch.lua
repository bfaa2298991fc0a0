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

local function loss_text()
  local state = closed and 'C' or 'O'
  return state .. format(' %d %d %d %d %d', lost_at, origin, kept_epoch, kept_seq, records_from)
end

-- The epoch stands in a second key as well: should the team's own hash be lost, the next one is later all the same.
local function note_epoch()
  call('HSET', HELD, KEEPER, format('%d', epoch))
end

local function close()
  local before = tonumber(call('HGET', HELD, KEEPER) or 0)
  epoch = math.max(now, known_epoch + 1, epoch + 1, before + 1)
  closed, lost_at = true, now
  note_epoch()
end

-- What stands as long as the team, and for how long. The first write is one that fails if nothing can be written.
local function make_team(lives)
  call('ZADD', OPEN, 0, KEEPER)
  note_epoch()
  call('ZADD', THERE, FOR_EVER, KEEPER)
  call('HSET', team.key, 'u', format('%d %d', lives, epoch))
end

local function let_team_live(lives)
  local micros = lives < FOR_EVER and lives - now or FOR_EVER
  for _, key in ipairs({ OPEN, HELD, THERE, team.key }) do
    let_live(key, micros)
  end
end

-- Some of the team's keys are gone, others stand.
local function lose_parts()
  local holds = call('EXISTS', HELD) == 1
  if epoch == 0 then
    -- Its own hash is. Of nobody's calls anything is missing, whatever the number of their last change.
    close()
    kept_epoch, kept_seq, origin = epoch - 1, FOR_EVER, 0
    lost[#lost + 1] = 's:team'
  else
    if not closed or not holds then
      kept_epoch, kept_seq = epoch, seq
    end
    close()
  end
  make_team(now + TEAM_LIVES)
  if #lost > 0 then
    call('ZREM', THERE, unpack(lost))
  end
  local in_doubt = lost
  if not holds then
    -- What is running is brought; what the sums hold beside it nobody can end any more.
    records_from = epoch
    call('ZREMRANGEBYSCORE', OPEN, '-inf', '(0')
    call('ZREMRANGEBYSCORE', OPEN, '(0', '+inf')
    in_doubt = call('ZRANGE', THERE, 0, -1)
    in_doubt[#in_doubt + 1] = 's:team'
  elseif not has_open then
    count_open()
  end
  count_again(in_doubt)
  call('HDEL', team.key, 'w', 'f')
  call('HSET', team.key, 'e', format('%d %d', epoch, seq), 'l', loss_text())
  let_team_live(now + TEAM_LIVES)
  return not_now()
end

if epoch == 0 and call('EXISTS', OPEN, HELD, ROWS, THERE) > 0 then
  return lose_parts()
end
local lacks = known_epoch > 0 and (known_epoch ~= epoch or known_seq > seq)
if lacks or (mode == MUST_HAVE and epoch == 0) then
  -- A caller of an earlier epoch was not there when the loss was noticed. Without one, somebody who knew nothing has taken
  -- the store for new.
  local was_away = known_epoch < epoch and team.loss
  if not was_away then
    kept_epoch, kept_seq = epoch, seq
    close()
    origin = kept_epoch > 0 and origin or epoch
    call('HSET', team.key, 'e', format('%d %d', epoch, seq), 'l', loss_text())
  end
  return not_now()
end
if is_watched and not (has_open and has_held) then
  return lose_parts()
end
if mode == LOOKING then
  for i = 1, id_count do
    if call('EXISTS', PREFIX .. ids[i]) == 0 then
      note_if_lost(ids[i])
    end
  end
  return #lost > 0 and lose_parts() or { 3, now }
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
    return lose_parts()
  end
  for n = 1, #floors, 2 do
    local name, field = match(floors[n], '^(%S+) (%S+)$')
    local calls, credits = match(floors[n + 1], '^(%d+) (%d+)$')
    raise(name, field, calls + 0, credits + 0)
  end
end
