-- Part 13: how long what is written lives: as long as what it counts.

-- Users and keys come and go (a subject may name a pull request): what they counted in days, months and buckets is forgotten when
-- those are over. What they counted in all is needed only by a prepaid budget.
local function let_scope_live(scope)
  if sub(scope.name, 1, 8) == 'account:' then
    -- A reader's bucket of requests a minute has no more to say once it is empty again.
    call('EXPIRE', scope.key, 120)
    return
  end
  local lives, its_epoch = match(scope.lives or '0 0', '^(%d+) (%d+)$')
  lives = its_epoch + 0 == epoch and lives + 0 or 0
  local ends = FOR_EVER
  if not (scope.needs_total or scope.total[7]) then
    -- Only who knows its limits knows that nobody needs its count of all time; and who only ends calls knows no month, but
    -- theirs was known when they were admitted.
    if lives > 0 and (month_end == 0 or (lives == FOR_EVER and not scope.judged)) then
      return
    end
    -- In every time zone a month is over two days after its end in one; and a call may run on.
    ends = (month_end > 0 and month_end or now + 31 * DAY) + 7 * DAY
    for _, bucket in pairs(scope.buckets or {}) do
      if bucket and bucket[4] > ends then
        ends = bucket[4] + DAY
      end
    end
  end
  if lives == ends or (lives > ends and lives < FOR_EVER) then
    return
  end
  call('HSET', scope.key, 'u', format('%d %d', ends, epoch))
  must_be_there('s:' .. scope.name, ends)
  local over = call('ZRANGEBYSCORE', THERE, 0, now_text, 'LIMIT', 0, 16)
  if #over > 0 then
    call('ZREM', THERE, unpack(over))
  end
end
