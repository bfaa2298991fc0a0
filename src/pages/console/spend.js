// Spend from the usage report: sums by day, team or model.

import { credits, micros, onAxis, places, sum } from "../shared/credits.js";

/** Sums the rows' credits by the field of this name: `[value, millionths]`, most first. */
export function by(rows, name) {
  const sums = new Map();
  for (const row of rows) sums.set(row[name], (sums.get(row[name]) ?? 0n) + micros(row.cost));
  return [...sums].sort(([, one], [, other]) => (one < other ? 1 : one > other ? -1 : 0));
}

export const total = (rows) => sum(rows.map(({ cost }) => micros(cost)));

/** Amounts of one column, all with the same number of places. */
export function column(amounts) {
  const decimals = places(amounts);
  return (amount) => credits(amount, decimals);
}

/**
 * Spend from the first of the month up to each day's end, as a chart takes it; noon stands for a
 * day.
 */
export function running(rows) {
  const days = by(rows, "day").sort(([one], [other]) => (one < other ? -1 : 1));
  if (days.length === 0) return null;
  const [last] = days.at(-1);
  const known = new Map(days);
  const [moments, amounts] = [[], []];
  let spent = 0n;
  for (let day = 1; day <= Number(last.slice(8)); day += 1) {
    const name = `${last.slice(0, 8)}${String(day).padStart(2, "0")}`;
    spent += known.get(name) ?? 0n;
    moments.push(Date.parse(`${name}T12:00:00Z`) / 1000);
    amounts.push(onAxis(spent));
  }
  return { rows: [moments, amounts], spent, month: last.slice(0, 7) };
}
