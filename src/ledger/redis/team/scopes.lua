-- Part 3: scopes, read when first needed. `plus` is what this request adds to all three of today, this month and all time.

local SCOPES = PREFIX .. 's:'
local scopes, scope_list = {}, {}

-- {requests spent, requests reserved, credits spent, credits reserved, changed, new}, and of a scope that was topped up
-- {.., topped up in all, known only as a sum}
local function window_of(text)
  if not text then
    return { 0, 0, 0, 0, false, true }
  end
  local a, b, c, d = match(text, '^(%d+) (%d+) (%d+) (%d+)$')
  if not a then
    local e, f
    a, b, c, d, e, f = match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
    return { a + 0, b + 0, c + 0, d + 0, false, false, e + 0, f + 0 }
  end
  return { a + 0, b + 0, c + 0, d + 0, false, false }
end

local function scope_named(name)
  local scope = scopes[name]
  if not scope then
    local key = SCOPES .. name
    -- How long it lives (u, lives.lua). The team's own also holds how far the store has come (epoch.lua).
    local texts = name == 'team' and call('HMGET', key, today, this_month, 't', 'u', 'e', 'l', 'w', 'wf')
      or call('HMGET', key, today, this_month, 't', 'u')
    if not texts[3] and name ~= 'team' then
      note_if_lost('s:' .. name)
    end
    scope = {
      key = key,
      name = name,
      today = window_of(texts[1]),
      this_month = window_of(texts[2]),
      total = window_of(texts[3]),
      plus = { 0, 0, 0, 0 },
      changed = false,
      buckets = false,
      others = false,
      lives = texts[4],
      -- Whether its limits are known to this request, and whether its count of all time is needed.
      judged = false,
      needs_total = false,
      epoch = texts[5],
      loss = texts[6],
      rows_live = texts[7],
      free_rows_live = texts[8],
    }
    scopes[name] = scope
    scope_list[#scope_list + 1] = scope
  end
  return scope
end

-- {level, last written, changed, when it is empty again}
local function bucket_of(scope, field)
  local buckets = scope.buckets
  if not buckets then
    buckets = { rs = false, rm = false, rh = false }
    scope.buckets = buckets
  end
  if not buckets[field] then
    local text = call('HGET', scope.key, field)
    if text then
      local level, since = match(text, '^(%d+) (%d+)$')
      buckets[field] = { level + 0, since + 0, false, 0 }
    else
      buckets[field] = { 0, 0, false, 0 }
    end
  end
  return buckets[field]
end

-- A window of another day or month than this request's.
local function other_window(scope, field)
  local others = scope.others
  if not others then
    others = {}
    scope.others = others
  end
  if not others[field] then
    others[field] = window_of(call('HGET', scope.key, field))
  end
  return others[field]
end
