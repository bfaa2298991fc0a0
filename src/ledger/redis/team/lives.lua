-- Part 13: how long what is written lives: as long as what it counts.

-- In every time zone a month is over two days after its end in one; and a call may run on.
local LONGER_THAN_ITS_MONTH = 3 * DAY
local LONGER_THAN_IT_MUST = 4 * DAY

-- Users and keys come and go (a subject may name a pull request): what they counted in days, months and buckets is forgotten when
-- those are over. What they counted in all is needed only by a prepaid budget.
local function end_of(scope)
  if scope.needs_total or scope.total[7] then
    return FOR_EVER
  end
  local ends = (month_end > 0 and month_end or now + 31 * DAY) + LONGER_THAN_ITS_MONTH
  for _, bucket in pairs(scope.buckets or {}) do
    if bucket and bucket[4] > ends then
      ends = bucket[4] + DAY
    end
  end
  return ends
end

-- Whether it lives long enough already, give or take. Only who knows its limits knows that nobody needs its count of all time.
local function is_enough(scope, lives, ends, give)
  if lives == FOR_EVER or ends == FOR_EVER then
    return lives == ends or (lives == FOR_EVER and not scope.judged)
  end
  return lives + give >= ends
end

local function let_scope_live(scope)
  if sub(scope.name, 1, 8) == 'account:' then
    -- A reader's bucket of requests a minute has no more to say once it is empty again.
    call('EXPIRE', scope.key, 120)
    return
  end
  local ends = end_of(scope)
  local lives, its_epoch = match(scope.lives or '0 0', '^(%d+) (%d+)$')
  -- Who only ends calls knows no month; theirs was known when they were admitted.
  local knows = month_end > 0 or ends == FOR_EVER
  if its_epoch + 0 == epoch and (not knows or is_enough(scope, lives + 0, ends, 0)) then
    return
  end
  call('HSET', scope.key, 'u', format('%d %d', ends, epoch))
  must_be_there('s:' .. scope.name, ends, LONGER_THAN_IT_MUST)
  forget_some()
end

-- Once a day, by whichever request changes something, or sweeps: a team that is looked after does not end.
local function keep_team_alive()
  local lives = team.lives and match(team.lives, '^%d+') + 0 or 0
  local ends = (team.needs_total or team.total[7]) and FOR_EVER or now + TEAM_LIVES
  if lives > 0 and is_enough(team, lives, ends, DAY) then
    return
  end
  if lives == 0 then
    make_team(ends)
  end
  let_team_live(ends)
  call('HSET', team.key, 'u', format('%d %d', ends, epoch))
end

-- The same for the rows, whose time begins anew with each of them.
local function keep_rows_alive()
  local ends = now + rows_kept - math.min(DAY, rows_kept / 4)
  local lives = tonumber(team.rows_live) or 0
  if lives > ends or ends - lives > rows_kept / 64 then
    call('ZADD', THERE, format('%d', ends), 'rows')
    call('HSET', team.key, 'w', format('%d', ends))
  end
  call('PEXPIRE', ROWS, format('%d', rows_kept / 1000))
end
