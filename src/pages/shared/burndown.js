// A budget burning down: the rest over time, the straight line from now on, and both in words.

import { html } from "./lib.js";
import { Chart } from "./chart.js";
import { credits, micros, onAxis } from "./credits.js";
import { began, line } from "./forecast.js";
import { clock, midnight, moment, shortDay, span } from "./times.js";

/** The words of a forecast. */
export function said(told, limit) {
  const before = limit.reset && told.at ? Date.parse(limit.reset) - told.at : 0;
  switch (told.kind) {
    case "gone":
      return "Used up.";
    case "idle":
      return "Nothing is being spent.";
    case "early":
      return "The window has just begun: too early to tell how long it lasts.";
    case "ends":
      return `At this rate it lasts until ${moment(told.at)}${before > 0 ? `, ${span(before)} before its reset` : ""}.`;
    default:
      return `At this rate it lasts to its reset, with ${credits(told.left, 2)} left then.`;
  }
}

/** Days of spend as steps of a line: the spend of a day is spread over the day. */
export const spentByDay = (days, zone) =>
  days.flatMap(({ day, cost }) => {
    const at = midnight(day, zone).getTime();
    return [
      { at, cost: 0n },
      { at: at + 86_400_000, cost: micros(cost) },
    ];
  });

/**
 * Draws a budget: `steps` are its spend over time, as `line` takes them; `name` is the limit in
 * words.
 */
export function BurnDown({ limit, told, now, zone, steps, name }) {
  const from = began(limit, zone)?.getTime() ?? now - 7 * 86_400_000;
  const rows = line(limit, from, now, steps ?? [], told);
  const until = limit.reset ? Date.parse(limit.reset) : (told.at ?? now) + 86_400_000;
  const isDay = limit.kind === "credits_per_day";
  const xValues = (_, moments) =>
    moments.map((at) => (isDay ? clock(at * 1000) : shortDay(at * 1000)));
  const most = onAxis(limit.max);
  const yValues = (_, values) =>
    values.map((value) => value.toLocaleString("en-GB", { maximumFractionDigits: 2 }));
  const series = [
    { colour: "accent", fill: "accent-wash", width: 2.5 },
    { colour: told.kind === "ends" ? "bad" : "accent", dash: [6, 6] },
  ];
  const range = { x: [from / 1000, until / 1000], y: [0, most > 0 ? most * 1.04 : 1] };
  const summary = `Left of ${name}: ${credits(limit.remaining)} of ${credits(limit.max)}. ${said(told, limit)}`;
  return html`<${Chart} rows=${rows} series=${series} range=${range} xValues=${xValues}
    yValues=${yValues} summary=${summary} />`;
}
