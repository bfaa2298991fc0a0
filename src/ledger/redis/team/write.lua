-- Part 14: everything that changed.

local usage_changes = {}
for its_day, cells in pairs(usage) do
  local changes, opened = usage_of(USAGE .. its_day, cells)
  usage_changes[its_day] = { changes, opened }
end

-- How many of the oldest rows have been kept long enough; a hundred or so at a time.
local SETTLED_AT = '^%S+ %S+ %d+ (%d+)'
local outdated, outdated_free = 0, 0
if oldest or oldest_free then
  local function outdated_in(list, last)
    local count = 0
    if last and match(last, SETTLED_AT) + rows_kept < now then
      for _, row in ipairs(call('LRANGE', list, -sweep_most, -1)) do
        if match(row, SETTLED_AT) + rows_kept < now then
          count = count + 1
        end
      end
    end
    return count
  end
  outdated, outdated_free = outdated_in(ROWS, oldest), outdated_in(FREE_ROWS, oldest_free)
end

-- How many give way because there are too many: the oldest of those that cost nothing first, be they new ones. It is noted
-- how many were lost so, and when the last of them had been settled: `paid free paid_until free_until`.
local lost_paid, lost_free, gave_way = 0, 0, false
if #rows + #free_rows > 0 then
  local paid, free = call('LLEN', ROWS), call('LLEN', FREE_ROWS)
  if paid == 0 and #rows > 0 then
    note_if_lost('rows')
  end
  if free == 0 and #free_rows > 0 then
    note_if_lost('rows:free')
  end
  paid, free = paid - outdated + #rows, free - outdated_free + #free_rows
  local over = paid + free - rows_most
  if over > 0 then
    lost_free = math.min(over, free)
    lost_paid = over - lost_free
    local a, b, paid_until, free_until = match(call('HGET', team.key, 'lost') or '0 0 0 0', '^(%d+) (%d+) (%d+) (%d+)$')
    local last_paid = lost_paid > 0 and call('LINDEX', ROWS, -outdated - lost_paid)
    local last_free = lost_free > 0 and call('LINDEX', FREE_ROWS, -outdated_free - lost_free)
    paid_until = last_paid and match(last_paid, SETTLED_AT) or paid_until
    -- None of those that were there is the last: it is one of the new ones.
    free_until = lost_free > 0 and (last_free and match(last_free, SETTLED_AT) or now_text) or free_until
    gave_way = format('%d %d ', a + lost_paid, b + lost_free) .. paid_until .. ' ' .. free_until
  end
end

if #lost > 0 then
  return lose(true)
end

-- Write.

if outdated > 0 then
  call('LTRIM', ROWS, 0, -outdated - 1)
  if call('EXISTS', ROWS) == 0 then
    call('ZREM', THERE, 'rows')
    call('HDEL', team.key, 'w')
    team.rows_live = false
  end
end
if #rows + #free_rows > 0 then
  -- First of all: fails when the rows cannot be written, and lets what follows pass when memory is short, so that ending
  -- a reservation, which frees about as much as it takes, is possible even then.
  call('LTRIM', ROWS, 0, -lost_paid - 1)
  local ends = now + rows_kept
  if #rows > 0 then
    local lives = tonumber(team.rows_live or 0)
    call('LPUSH', ROWS, unpack(rows))
    call('PEXPIRE', ROWS, format('%d', rows_kept / 1000))
    if lives > ends or ends - lives > rows_kept / 64 then
      must_be_there('rows', ends)
      call('HSET', team.key, 'w', format('%d', ends))
    end
  end
  if #free_rows > 0 then
    local lives = tonumber(team.free_rows_live or 0)
    call('LPUSH', FREE_ROWS, unpack(free_rows))
    call('PEXPIRE', FREE_ROWS, format('%d', rows_kept / 1000))
    if lives > ends or ends - lives > rows_kept / 64 then
      must_be_there('rows:free', ends)
      call('HSET', team.key, 'wf', format('%d', ends))
    end
  end
end
if outdated_free + lost_free > 0 then
  call('LTRIM', FREE_ROWS, 0, -outdated_free - lost_free - 1)
  if call('EXISTS', FREE_ROWS) == 0 then
    call('ZREM', THERE, 'rows:free')
    call('HDEL', team.key, 'wf')
  end
end
if gave_way then
  call('HSET', team.key, 'lost', gave_way)
end
for its_day, change in pairs(usage_changes) do
  call('HSET', USAGE .. its_day, unpack(change[1]))
  if change[2] then
    must_be_there('usage:' .. its_day, now + usage_kept)
  end
end

local gone, kept, waits = {}, {}, {}
for i = 1, #ids do
  local record = records[i]
  if record ~= found[i] then
    if record then
      kept[#kept + 1] = ids[i]
      kept[#kept + 1] = record
      if deadlines[i] then
        waits[#waits + 1] = deadlines[i]
        waits[#waits + 1] = ids[i]
      end
    else
      gone[#gone + 1] = ids[i]
    end
  elseif not record and i > id_count then
    -- A deadline without a record: whatever it was, it holds nothing.
    gone[#gone + 1] = ids[i]
  end
end
if #gone > 0 then
  call('HDEL', HELD, unpack(gone))
  call('ZREM', OPEN, unpack(gone))
end
if #waits > 0 then
  call('ZADD', OPEN, unpack(waits))
end
if loss_is_over then
  for _, id in ipairs(call('ZRANGEBYSCORE', OPEN, '(0', now_text, 'LIMIT', 0, 3000)) do
    renewed[#renewed + 1] = deadline
    renewed[#renewed + 1] = id
  end
end
if #renewed > 0 then
  call('ZADD', OPEN, 'XX', unpack(renewed))
end
if #kept > 0 then
  call('HSET', HELD, unpack(kept))
end

-- Every change has the next number, so that its loss can be told.
local stamp = false
for n = 1, #scope_list do
  stamp = stamp or scope_list[n].changed
end
if stamp or epoch_is_new or loss_is_over or #kept + #gone > 0 then
  seq = seq + 1
  reply[6] = seq
  stamp = format('%d %d', epoch, seq)
end

-- A new window opens: of its kind only the two newest others are kept, for calls that are still to be settled into them.
local function drop_old_windows(scope, opened)
  local kind, others = sub(opened, 1, 2), {}
  for _, field in ipairs(call('HKEYS', scope.key)) do
    if sub(field, 1, 2) == kind and field ~= opened then
      others[#others + 1] = field
    end
  end
  table.sort(others)
  for n = 1, #others - 2 do
    call('HDEL', scope.key, others[n])
  end
end

local function window_text(window, plus)
  local a, b, c, d = window[1] + plus[1], window[2] + plus[2], window[3] + plus[3], window[4] + plus[4]
  return format('%d %d %d %d', a, b > 0 and b or 0, c, d > 0 and d or 0)
end

local NOTHING = { 0, 0, 0, 0 }

local function write_windows(scope)
  local plus, total = scope.plus, scope.total
  local opened, all_time = scope.today[6] and day ~= '', window_text(total, plus)
  if total[7] then
    all_time = all_time .. format(' %d %d', total[7], total[8])
  end
  if day == '' then
    -- Only other days than this request's were touched: it has none.
    call('HSET', scope.key, 't', all_time)
  elseif scope == team then
    call('HSET', scope.key, today, window_text(scope.today, plus), this_month, window_text(scope.this_month, plus), 't',
      all_time, 'e', stamp)
  else
    call('HSET', scope.key, today, window_text(scope.today, plus), this_month, window_text(scope.this_month, plus), 't',
      all_time)
  end
  if opened then
    drop_old_windows(scope, today)
    drop_old_windows(scope, this_month)
  end
  for field, window in pairs(scope.others or {}) do
    call('HSET', scope.key, field, window_text(window, NOTHING))
    if window[6] then
      drop_old_windows(scope, field)
    end
  end
end

for n = 1, #scope_list do
  local scope = scope_list[n]
  local written = scope.changed
  if written then
    write_windows(scope)
  end
  for field, bucket in pairs(scope.buckets or {}) do
    if bucket and bucket[3] then
      call('HSET', scope.key, field, format('%d %d', bucket[1], bucket[2]))
      written = true
    end
  end
  if written and scope ~= team then
    let_scope_live(scope)
  end
end

for n = 1, #crossings do
  call('HSET', crossings[n].key, crossings[n].field, crossings[n].mark)
end

for id, added in pairs(top_ups) do
  call('SET', TOP_UPS .. id, added[1])
  must_be_there('topup:' .. id, now + usage_kept)
end

if stamp and (not team.changed or day == '') then
  call('HSET', team.key, 'e', stamp)
end
if loss_is_over then
  call('HSET', team.key, 'l',
    format('O %d %d %d %d %d', lost_at, origin, kept_epoch, kept_seq, records_from))
  call('HDEL', team.key, 'f')
  call('DEL', FLOORS)
end

-- Once a day, by whichever request changes something, or sweeps: a team that is looked after does not end.
if stamp or sweep_most > 8 then
  local lives = team.lives and match(team.lives, '^%d+') + 0 or 0
  local ends = (team.needs_total or team.total[7]) and FOR_EVER or now + TEAM_LIVES
  local was_prepaid = lives == FOR_EVER and ends < FOR_EVER
  if was_prepaid and team.judged or not was_prepaid and lives + DAY < ends then
    stand_until(ends)
  end
end

-- Marks whose time is over, only when the sweep was asked for: they are rare.
if sweep_most > 8 then
  local marks = call('ZRANGEBYSCORE', OPEN, '-' .. now_text, '(0', 'LIMIT', 0, sweep_most)
  if #marks > 0 then
    call('HDEL', HELD, unpack(marks))
    call('ZREM', OPEN, unpack(marks))
  end
end

return reply
