// How long a budget lasts: a straight line from its use so far. It promises no more than that.

import { onAxis } from "../shared/credits.js";
import { civil, midnight } from "../shared/times.js";

const DAY_MS = 86_400_000;
/** The share of a window before which a line through it says nothing. */
const TOO_EARLY_MS = 10 * 60_000;

/** The start of a budget's window, in the team's zone; nothing for prepaid credits. */
export function began(limit, zone) {
  if (!limit.reset) return null;
  const last = civil(new Date(Date.parse(limit.reset) - DAY_MS / 2), zone);
  return midnight(limit.kind === "credits_per_month" ? `${last.slice(0, 7)}-01` : last, zone);
}

/**
 * The forecast of a budget at its rate so far: `{ kind }` is `gone`, `idle` (nothing used),
 * `early`, `lasts` (to its reset, with `left` then) or `ends` (`at` a moment before it).
 */
export function forecast(limit, from, now, rate = null) {
  if (limit.remaining <= 0n) return { kind: "gone" };
  const elapsed = from ? now - from : 0;
  const taken = limit.used + limit.reserved;
  if (rate === null && taken === 0n) return { kind: "idle" };
  if (rate === null && elapsed < TOO_EARLY_MS) return { kind: "early" };
  // Millionths of a credit a millisecond; the answer is a time, so a float will do.
  const speed = rate ?? Number(taken) / elapsed;
  if (speed <= 0) return { kind: "idle" };
  const end = now + Number(limit.remaining) / speed;
  const reset = limit.reset ? Date.parse(limit.reset) : Infinity;
  if (end < reset) return { kind: "ends", at: end };
  const left = limit.remaining - BigInt(Math.round(speed * (reset - now)));
  return { kind: "lasts", at: reset, left: left > 0n ? left : 0n };
}

/** The rate in millionths a millisecond over the last known days, for a budget without a window. */
export function recentRate(days, now, zone) {
  const from = now - 7 * DAY_MS;
  const recent = days.filter(({ day }) => midnight(day, zone).getTime() >= from - DAY_MS);
  if (recent.length === 0) return 0;
  const first = Math.min(...recent.map(({ day }) => midnight(day, zone).getTime()));
  const spent = recent.reduce((total, { cost }) => total + Number(cost), 0);
  return spent / Math.max(DAY_MS, now - first);
}

/**
 * The rest of a budget over time, as the chart takes it: moments in seconds, the rest, and the line
 * on to the end. `steps` are the spend, `{ at, cost }` in order. Without them the past is a
 * straight line too.
 */
export function line(limit, from, now, steps, told) {
  const start = onAxis(limit.max);
  const left = onAxis(limit.remaining);
  const points = [[from, start]];
  let rest = limit.max;
  for (const { at, cost } of steps) {
    rest -= cost;
    points.push([Math.min(Math.max(at, from), now), Math.max(0, onAxis(rest))]);
  }
  points.push([now, left]);
  const on = [[now, left]];
  if (told.kind === "ends") on.push([told.at, 0]);
  if (told.kind === "lasts" && Number.isFinite(told.at)) on.push([told.at, onAxis(told.left)]);
  const moments = [...new Set([...points, ...on].map(([at]) => at))].sort(
    (one, other) => one - other,
  );
  // Counts the last of several at one moment.
  const column = (pairs) => {
    const known = new Map(pairs);
    return moments.map((at) => known.get(at) ?? null);
  };
  return [moments.map((at) => at / 1000), column(points), column(on)];
}
