// What the page works out itself: credits to the millionth, and how long a budget lasts.

import assert from "node:assert/strict";
import { test } from "node:test";

const from = (name) => import(new URL(`../../src/pages/${name}`, import.meta.url));
const { credits, micros, places, share, sum } = await from("shared/credits.js");
const { midnight, span, duration } = await from("shared/times.js");
const { began, forecast, line } = await from("shared/forecast.js");

test("credits are whole millionths, written with as many places as they need", () => {
  const rows = [
    ["0.025", "0.025"],
    [0.1, "0.10"],
    [0.000001, "0.000001"],
    [0, "0.00"],
    ["1234567.5", "1,234,567.50"],
    [12, "12.00"],
    ["999999999.999999", "999,999,999.999999"],
  ];
  for (const [given, written] of rows) assert.equal(credits(micros(given)), written);
  assert.equal(credits(sum([0.1, 0.2, 0.7].map(micros))), "1.00", "no float in between");
  assert.equal(places([0.1, 0.025, 3].map(micros)), 3);
  assert.equal(credits(micros(0.1), 3), "0.100");
  assert.equal(share(micros(1), micros(4)), 0.25);
  assert.equal(share(micros(1), 0n), 0);
});

test("a day begins at the zone's own midnight, on days when its clock changes too", () => {
  const rows = [
    ["2026-11-01", "America/New_York", "2026-11-01T04:00:00.000Z"],
    ["2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00.000Z"],
    ["2026-10-26", "Europe/Berlin", "2026-10-25T23:00:00.000Z"],
    ["2026-11-29", "UTC", "2026-11-29T00:00:00.000Z"],
    ["2026-11-29", "Asia/Kolkata", "2026-11-28T18:30:00.000Z"],
  ];
  for (const [day, zone, begins] of rows)
    assert.equal(midnight(day, zone).toISOString(), begins, `${day} in ${zone}`);
  assert.deepEqual(
    [span(90_061_000), span(7_260_000), span(5000), duration(0.85), duration(2.44)],
    ["1 d 1 h", "2 h 1 min", "5 s", "850 ms", "2.4 s"],
  );
});

const month = (used, reserved = 0) => ({
  name: "team:credits_per_month",
  level: "team",
  kind: "credits_per_month",
  isCredits: true,
  reset: "2026-12-01T00:00:00Z",
  max: micros(30),
  used: micros(used),
  reserved: micros(reserved),
  remaining: micros(30) - micros(used) - micros(reserved),
});
const START = Date.parse("2026-11-01T00:00:00Z");
const DAY = 86_400_000;

test("a budget's window begins on the first of its month, or at its midnight, in the team's zone", () => {
  assert.equal(began(month(1), "UTC").getTime(), START);
  assert.equal(
    began({ ...month(1), reset: "2026-12-01T05:00:00Z" }, "America/New_York").toISOString(),
    "2026-11-01T04:00:00.000Z",
  );
  assert.equal(
    began({ kind: "credits_per_day", reset: "2026-11-30T00:00:00Z" }, "UTC").toISOString(),
    "2026-11-29T00:00:00.000Z",
  );
  assert.equal(began({ kind: "credits_total", reset: null }, "UTC"), null);
});

test("the forecast is a straight line: it ends before the reset, lasts to it, or says that it cannot tell", () => {
  assert.deepEqual(forecast(month(20), START, START + 10 * DAY), {
    kind: "ends",
    at: START + 15 * DAY,
  });
  assert.deepEqual(
    forecast(month(10, 10), START, START + 10 * DAY),
    { kind: "ends", at: START + 15 * DAY },
    "what is reserved counts as used",
  );
  assert.deepEqual(forecast(month(5), START, START + 10 * DAY), {
    kind: "lasts",
    at: START + 30 * DAY,
    left: micros(15),
  });
  assert.equal(forecast(month(0), START, START + 10 * DAY).kind, "idle");
  assert.equal(forecast(month(1), START, START + 60_000).kind, "early");
  assert.equal(forecast(month(30), START, START + 10 * DAY).kind, "gone");
  const prepaid = { ...month(10), kind: "credits_total", reset: null };
  assert.deepEqual(forecast(prepaid, null, START, 1e6 / DAY), {
    kind: "ends",
    at: START + 20 * DAY,
  });
});

test("the line goes down by what was spent, to what is left, and on as the forecast says", () => {
  const limit = month(20);
  const now = START + 10 * DAY;
  const steps = [
    { at: START + DAY, cost: micros(5) },
    { at: START + 2 * DAY, cost: micros(15) },
  ];
  const [moments, past, on] = line(limit, START, now, steps, forecast(limit, START, now));
  assert.deepEqual(
    moments,
    [0, 1, 2, 10, 15].map((day) => (START + day * DAY) / 1000),
  );
  assert.deepEqual(past, [30, 25, 10, 10, null]);
  assert.deepEqual(on, [null, null, null, 10, 0]);
});
