-- Part 3: whether the store still has what its callers have seen in it. What was lost is never a fresh budget.
--
-- In the team's own scope stand the epoch and the number of the last change (e: `epoch seq`). A caller says the latest
-- it has seen. Should the store know less (it was flushed, an older copy was loaded, or a replica was promoted that
-- lacked the last writes), the team is closed under a new epoch, and everyone who comes brings what the store lacks
-- (redo.lua). After that it opens again, at once or when an operator says so.
--
-- What is known of the last loss (l: `state noticed_at origin kept_epoch kept_seq`, state C(losed) or O(pen)): whatever
-- was changed after kept_epoch and kept_seq, or before the epoch `origin`, is not in here unless it was brought since.
-- Epochs grow, since each is the time it was made at, or one more than the one before.

local MAY_MAKE, MUST_HAVE, REDOING, ACCEPTING = 1, 2, 3, 4
local FLOORS = sub(OPEN, 1, -5) .. 'floors'
local VOUCHED = sub(OPEN, 1, -5) .. 'vouched:'

local team = scope_named('team')
local epoch, seq, epoch_is_new, loss_is_over = 0, 0, false, false
local closed, lost_at, origin, kept_epoch, kept_seq = false, 0, 0, 0, 0
if team.epoch then
  local made, last = match(team.epoch, '^(%d+) (%d+)$')
  epoch, seq, origin = made + 0, last + 0, made + 0
end
if team.loss then
  local state, at, first, e, s = match(team.loss, '^(%a) (%d+) (%d+) (%d+) (%d+)$')
  closed, lost_at, origin, kept_epoch, kept_seq = state == 'C', at + 0, first + 0, e + 0, s + 0
end

-- The caller is told what the store has, and brings what it knows beyond that.
local function not_now()
  return { 2, now, epoch, seq, closed and 1 or 0, origin, kept_epoch, kept_seq }
end

local lacks = known_epoch > 0 and (known_epoch ~= epoch or known_seq > seq)
if lacks or (mode == MUST_HAVE and epoch == 0) then
  -- A caller of an earlier epoch was not there when the loss was noticed. Without one, somebody who knew nothing has taken
  -- the store for new.
  local was_away = known_epoch < epoch and team.loss
  if not was_away then
    kept_epoch, kept_seq = epoch, seq
    epoch = math.max(now, known_epoch + 1, epoch + 1)
    closed, lost_at, origin = true, now, kept_epoch > 0 and origin or epoch
    call('HSET', team.key, 'e', format('%d %d', epoch, seq), 'l',
      format('C %d %d %d %d', lost_at, origin, kept_epoch, kept_seq))
  end
  return not_now()
end
if closed and mode ~= REDOING then
  if mode ~= ACCEPTING and (hold == 1 or now < lost_at + gather) then
    return not_now()
  end
  loss_is_over = true
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
  for n = 1, #floors, 2 do
    local name, field = match(floors[n], '^(%S+) (%S+)$')
    local calls, credits = match(floors[n + 1], '^(%d+) (%d+)$')
    raise(name, field, calls + 0, credits + 0)
  end
end
