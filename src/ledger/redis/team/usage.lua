-- Part 7: usage. What the calls that end in this request came to, day by day, user by user, model by model.
--
-- A day is a hash, a cell in it a text of nine integers: calls charged, released and unknown, credits, images,
-- milliseconds of video, milliseconds in the queue and at the upstream, calls refused (which older cells lack). Ends of one cell are summed here first, so that
-- a batch costs two commands for each of its days, which is nearly always one.

local USAGE = PREFIX .. 'usage:'
local usage = {}
local CELL = '%d %d %d %d %d %d %d %d %d'
-- Where in a cell an outcome is counted.
local PLACE_OF = { [CHARGED] = 1, [RELEASED] = 2, [UNKNOWN] = 3, [REFUSED] = 9 }

local function plus_sums(sums, text)
  local a, b, c, d, e, f, g, h, i = match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) ?(%d*)$')
  sums[1], sums[2], sums[3], sums[4] = sums[1] + a, sums[2] + b, sums[3] + c, sums[4] + d
  sums[5], sums[6], sums[7], sums[8] = sums[5] + e, sums[6] + f, sums[7] + g, sums[8] + h
  sums[9] = sums[9] + (i ~= '' and i or 0)
end

-- `first` is where the request says what came: images, video, queue, upstream. 0: nothing came.
local function count_usage(its_day, cell, outcome, charged, first)
  local cells = usage[its_day]
  if not cells then
    cells = {}
    usage[its_day] = cells
  end
  local sums = cells[cell]
  if not sums then
    sums = { 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    cells[cell] = sums
  end
  local at = PLACE_OF[outcome]
  sums[at], sums[4] = sums[at] + 1, sums[4] + charged
  if first > 0 then
    sums[5], sums[6] = sums[5] + request[first], sums[6] + request[first + 1]
    sums[7], sums[8] = sums[7] + request[first + 2], sums[8] + request[first + 3]
  end
end

-- Adds what the day holds already, and returns what is to be written: names and texts in turn, and whether a cell is new.
-- A day takes so many cells; what has no cell then goes to the one that is named *.
local function usage_of(key, cells)
  local names, changes, room, opened = {}, {}, false, false
  for name in pairs(cells) do
    names[#names + 1] = name
  end
  local texts = call('HMGET', key, unpack(names))
  for n = 1, #names do
    local name, sums = names[n], cells[names[n]]
    if texts[n] then
      plus_sums(sums, texts[n])
    else
      if not room then
        local count = call('HLEN', key)
        if count == 0 then
          note_if_lost(sub(key, #PREFIX + 1))
        end
        room = cells_most - count
      end
      opened = true
      if room > 0 then
        room = room - 1
      else
        name = false
        local beyond = cells['*']
        if not beyond then
          beyond = { 0, 0, 0, 0, 0, 0, 0, 0, 0 }
          cells['*'] = beyond
          plus_sums(beyond, call('HGET', key, '*') or '0 0 0 0 0 0 0 0 0')
        end
        plus_sums(beyond, format(CELL, unpack(sums)))
      end
    end
    if name then
      changes[#changes + 1] = name
      changes[#changes + 1] = sums
    end
  end
  if cells['*'] then
    changes[#changes + 1] = '*'
    changes[#changes + 1] = cells['*']
  end
  for n = 2, #changes, 2 do
    changes[n] = format(CELL, unpack(changes[n]))
  end
  return changes, opened
end
