-- Part 12: the answer.

-- How every level stands after all this, for all who asked: what others did in the same step is known to each of them.
-- What was lost with a part of the data may leave less than nothing; it is said, and written, as nothing.
for i = 1, level_count do
  local level = levels[i]
  local scope = level.scope
  local plus = scope.plus
  for l = level.first, level.last do
    local limit = limits[l]
    local window = limit.window
    if window then
      local unit = limit.unit
      local reserved = window[unit + 1] + plus[unit + 1]
      reply[said + 1] = window[unit] + plus[unit]
      said = said + 2
      reply[said] = reserved > 0 and reserved or 0
      if window[7] then
        -- Told by what is spent being less than nothing, so that nobody else has a number more.
        reply[said - 1] = -1 - reply[said - 1]
        said = said + 1
        reply[said] = window[7]
      end
    else
      local amount = limit.bucket and level_of(limit) or scope.total[2] + plus[2]
      said = said + 1
      reply[said] = amount > 0 and amount or 0
    end
  end
end

-- Then, and only if there are any: the budgets that came to their thresholds.
for n = 1, #crossings do
  for item = 1, 6 do
    said = said + 1
    reply[said] = crossings[n].told[item]
  end
end

-- Last, what was charged by the way; the head says of how many models.
for model, charged in pairs(left_charges) do
  reply[said + 1], reply[said + 2] = model, charged
  said = said + 2
  reply[8] = reply[8] + 1
end
