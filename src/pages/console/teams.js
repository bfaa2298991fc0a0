// Every team: whether it may call, what it spent, and how long its budget lasts.

import { html } from "../shared/lib.js";
import { micros } from "../shared/credits.js";
import { Badge, Card, Empty, Known, count } from "../shared/elements.js";
import { BudgetLine } from "./budgets.js";
import { column } from "./spend.js";

export function Standing({ team }) {
  if (team.closed) return html`<${Badge} tone="bad">Closed<//>`;
  if (team.suspended) return html`<${Badge} tone="warn">Suspended<//>`;
  const users = team.users_by_configuration.length + team.users_by_operator.length;
  return users > 0
    ? html`<${Badge} tone="info">${count(users)} ${users === 1 ? "user" : "users"} suspended<//>`
    : html`<${Badge} tone="good">May call<//>`;
}

const spent = (report, team) =>
  micros(report?.rows.find((row) => row.team === team)?.cost ?? 0);

export function Teams({ session }) {
  const [today, month] = ["today", "month"].map((name) => session.known(name).data);
  return html`<${Card} title="Limits and spend" id="teams" aside="in credits, with the budget that ends first">
    <${Known} known=${session.known("teams")} what="The teams" lines=${8}>${({ teams }) => {
      if (teams.length === 0)
        return html`<${Empty} title="No teams">The configuration names none: add one under
          <code>teams</code>.<//>`;
      const todays = column(teams.map(({ team }) => spent(today, team)));
      const months = column(teams.map(({ team }) => spent(month, team)));
      return html`<table class="teams">
        <caption class="sr">Every team</caption>
        <thead><tr><th scope="col">Team</th><th scope="col">Budget</th>
          <th scope="col" class="number wide">Today</th><th scope="col" class="number">Month</th>
          <th scope="col" class="number wide">Open</th><th scope="col"
            class="number wide">Weight</th></tr></thead>
        <tbody>${teams.map(
          (team) => html`<tr key=${team.team}>
          <th scope="row"><a class="strong name" href=${`#team/${team.team}`}>${team.team}</a>
            <small><${Standing} team=${team} /></small></th>
          <td class="budget-cell"><${BudgetLine} team=${team} /></td>
          <td class="number wide">${today ? todays(spent(today, team.team)) : "…"}</td>
          <td class="number strong">${month ? months(spent(month, team.team)) : "…"}</td>
          <td class="number wide">${team.open ?? "–"}</td>
          <td class="number wide">${count(team.weight)}</td></tr>`,
        )}</tbody></table>`;
    }}<//>
  <//>`;
}
