// The budget of a team that ends first, in one line: what is left of it, and how long it lasts.

import { html } from "../shared/lib.js";
import { said } from "../shared/burndown.js";
import { credits, places, share } from "../shared/credits.js";
import { Bar } from "../shared/elements.js";
import { began, forecast } from "../shared/forecast.js";
import { parts, read, tone, what } from "../shared/limits.js";

const taken = ({ used, reserved, max }) => share(used + reserved, max);

/** The team's budget that is nearest to its end; nothing when it has none. */
export function tightest({ limits }) {
  const budgets = limits.map(read).filter((limit) => limit.isCredits && !limit.shadow);
  return budgets.sort((one, other) => taken(other) - taken(one))[0] ?? null;
}

export const nearness = (team) => {
  const limit = tightest(team);
  return limit ? taken(limit) : -1;
};

export function BudgetLine({ team }) {
  const limit = tightest(team);
  if (team.closed) return html`<span class="bad-text">Closed: the ledger has lost writes</span>`;
  if (!limit) return html`<span class="soft">No budget</span>`;
  const told = forecast(limit, began(limit, team.time_zone)?.getTime(), Date.now(), limit.reset ? null : 0);
  const decimals = places([limit.max, limit.remaining]);
  const ends = told.kind === "ends" || told.kind === "gone";
  return html`<div class="budget-line">
    <${Bar} parts=${parts(limit)} tone=${tone(limit)} />
    <p><span class="numbers strong">${credits(limit.remaining, decimals)}</span> of ${credits(limit.max, decimals)} left <span
      class="soft">· ${what(limit.kind).toLowerCase()}</span></p>
    ${limit.reset && html`<p class=${`small ${ends ? "bad-text" : "soft"}`}>${said(told, limit)}</p>`}
  </div>`;
}
