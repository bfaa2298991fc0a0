// The budget that matters most: what is left of it, its use so far, and how long it lasts at that
// rate.

import { html, useState } from "./lib.js";
import { BurnDown, said, spentByDay } from "./burndown.js";
import { credits, micros, places, share } from "./credits.js";
import { Badge, Bar, Card, Empty, Time } from "./elements.js";
import { began, forecast, recentRate } from "./forecast.js";
import { inWords, parts, read, tone } from "./limits.js";

/** Spend over time: by day, or by call for the budget of a day; nothing where that is unknown. */
function spent(limit, from, zone, usage, calls) {
  if (limit.level !== "team") return null;
  if (limit.kind === "credits_per_month" && usage) {
    return spentByDay(usage.days, zone);
  }
  if (limit.kind === "credits_per_day" && calls && covers(calls, from)) {
    const since = calls.generations.filter((call) => Date.parse(call.createdAt) >= from);
    return since
      .map((call) => ({ at: Date.parse(call.settledAt), cost: micros(call.cost) }))
      .reverse();
  }
  return null;
}

/** Whether the newest calls reach back to the beginning of the window. */
function covers({ generations, pagination }, from) {
  return !pagination.hasMore || generations.some((call) => Date.parse(call.createdAt) < from);
}

export function Budget({ me, usage, calls }) {
  const budgets = me.limits.map(read).filter((limit) => limit.isCredits);
  // Sorts the budget that is nearest to its end first.
  const ordered = [...budgets].sort(
    (one, other) =>
      share(other.used + other.reserved, other.max) - share(one.used + one.reserved, one.max),
  );
  const preferred = budgets.find((limit) => limit.name === "team:credits_per_month") ?? ordered[0];
  const [chosen, choose] = useState(null);
  const limit = budgets.find((known) => known.name === chosen) ?? preferred;
  if (!limit) {
    return html`<${Card} title="Budget" id="budget">
      <${Empty} title="No budget of credits">Your spend is counted, but no budget bounds it.<//>
    <//>`;
  }
  const decimals = places([limit.used, limit.reserved]);
  const now = Date.parse(me.at);
  const from = began(limit, me.timeZone);
  const rate = from
    ? null
    : recentRate(
        (usage?.days ?? []).map((day) => ({ ...day, cost: micros(day.cost) })),
        now,
        me.timeZone,
      );
  const told = forecast(limit, from?.getTime(), now, rate);
  const steps = from && spent(limit, from.getTime(), me.timeZone, usage, calls);
  const choice =
    budgets.length > 1 &&
    html`<select aria-label="Which budget" value=${limit.name}
      onChange=${(event) => choose(event.target.value)}>
    ${budgets.map(({ name }) => html`<option key=${name} value=${name}>${inWords(name)}</option>`)}
  </select>`;
  return html`
    <${Card} title="Budget" id="budget" aside=${choice || inWords(limit.name)}>
      <div class="figures">
        <div>
          <p class="big"><span class="numbers">${credits(limit.remaining)}</span>
            <small> credits left of ${credits(limit.max)}</small></p>
          <p class=${`forecast ${told.kind === "ends" || told.kind === "gone" ? "bad" : ""}`}>${said(told, limit)}</p>
        </div>
        <dl class="facts">
          <div><dt>Used</dt><dd>${credits(limit.used, decimals)}</dd></div>
          <div><dt>Reserved</dt><dd>${credits(limit.reserved, decimals)}</dd></div>
          <div><dt>Resets</dt><dd>${limit.reset ? html`<${Time} at=${limit.reset}
            zone=${me.timeZone} />` : "never: prepaid"}</dd></div>
        </dl>
      </div>
      <${Bar} tone=${tone(limit)} parts=${parts(limit)} />
      <${BurnDown} limit=${limit} told=${told} now=${now} zone=${me.timeZone} steps=${steps}
        name=${inWords(limit.name)} />
      <p class="legend soft"><span class="line"></span> left so far${steps ? "" : ", as a straight line"}
        <span class=${`line dashed ${told.kind === "ends" ? "bad" : ""}`}></span> at this rate
        ${limit.shadow && html` <${Badge}>only counted: it refuses nobody<//>`}</p>
    <//>`;
}
