-- Part 11: what was left behind is ended, then every operation has its turn. Still nothing is written.

-- What was charged of what was left behind, model by model.
local left_charges = {}

for i = id_count + 1, #ids do
  local phase = sub(records[i] or '', 1, 1)
  if phase == 'W' then
    finish(i, RELEASED, 0, '', 0)
    reply[3] = reply[3] + 1
  elseif phase == 'T' then
    finish(i, REFUSED, 0, '', 0)
    reply[7] = reply[7] + 1
  else
    local charged = finish(i, UNKNOWN, charge_unknown == 1 and NEVER or 0, '', 0)
    if charged then
      reply[4] = reply[4] + 1
      local model = match(found[i], '^%d+ (%S+)', 31)
      left_charges[model] = (left_charges[model] or 0) + charged
    end
  end
end

local renewed = {}
-- A block: Lua allows a script 200 names at once.
do
  local ADMIT, DISPATCH, SETTLE, RENEW, BOOKS, GIVE_UP, QUOTE, RECALL, REDO, FLOOR = 1, 2, 3, 4, 6, 7, 8, 9, 10, 11
  local TOP_UP, TOP_UP_AGAIN = 13, 14
  for _ = 1, op_count do
    local op = request[place + 1]
    if op == ADMIT then
      local last = place + 6 + request[place + 5]
      admit(request[place + 2], request[place + 3], request[place + 4], place + 7, last, request[place + 6])
      place = last
    elseif op == SETTLE then
      local outcome = request[place + 3]
      local first = outcome == CHARGED and place + 6 or 0
      said = said + 1
      reply[said] = finish(request[place + 2], outcome, request[place + 4], request[place + 5], first) or -1
      place = place + 9
    elseif op == DISPATCH or op == RECALL then
      local i = request[place + 2]
      local record = records[i]
      local alive = record and record ~= 'X'
      if alive then
        records[i] = (op == DISPATCH and 'D' or 'T') .. sub(record, 2)
      end
      said = said + 1
      reply[said] = alive and 1 or 0
      place = place + 2
    elseif op == RENEW then
      local last = place + 2 + request[place + 2]
      for n = place + 3, last do
        renewed[#renewed + 1] = deadline
        renewed[#renewed + 1] = request[n]
      end
      place = last
    elseif op == BOOKS then
      said = said + 1
      reply[said] = call('ZCOUNT', OPEN, '(0', '+inf')
      if request[place + 2] > 0 then
        read_by(place + 2)
      end
      place = place + 2
    elseif op == QUOTE then
      local last = place + 3 + request[place + 3]
      quote(request[place + 2], place + 4, last)
      place = last
    elseif op == GIVE_UP then
      local i = request[place + 2]
      finish(i, RELEASED, 0, '', 0)
      -- Marks stand below zero, apart from what is open and from what is overdue.
      records[i], deadlines[i] = 'X', '-' .. deadline
      place = place + 2
    elseif op == REDO then
      redo(place + 2)
      place = place + 11
    elseif op == FLOOR then
      raise_or_keep(unpack(request, place + 2, place + 5))
      place = place + 5
    elseif op == TOP_UP then
      top_up(unpack(request, place + 2, place + 4))
      place = place + 4
    elseif op == TOP_UP_AGAIN then
      top_up_again(unpack(request, place + 2, place + 4))
      place = place + 4
    else
      place = place + 1
    end
  end
end
