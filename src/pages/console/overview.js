// The overview: traffic and spend, refusals by reason, health, and the budgets that end first.

import { html } from "../shared/lib.js";
import { Chart } from "../shared/chart.js";
import { credits } from "../shared/credits.js";
import { Card, Empty, Known, count } from "../shared/elements.js";
import { duration, monthOf, shortDay } from "../shared/times.js";
import { BudgetLine, nearness } from "./budgets.js";
import { Health } from "./health.js";
import { Refusals } from "./refusals.js";
import { by, column, running, total } from "./spend.js";

const SHOWN = 5;
/** Steps of whole days: on the first days of a month there is room for less. */
const WHOLE_DAYS = [1, 2, 5, 10].map((days) => days * 86_400);

const Tile = ({ name, value, children }) => html`
  <div class="card tile"><dt>${name}</dt><dd><span class="big numbers">${value}</span>
    <small class="soft">${children}</small></dd></div>`;

function Tiles({ today, month, queue }) {
  const calls = today?.totals;
  const shown = (known, value) => (known ? value(known) : "…");
  const open = (state) => queue.teams.reduce((all, team) => all + team[state], 0);
  const rate = calls?.successRate;
  return html`<dl class="tiles">
    <${Tile} name="Spent today" value=${shown(today, (known) => credits(total(known.rows)))}>credits,
      by each team's own day<//>
    <${Tile} name="Spent this month" value=${shown(month, (known) => credits(total(known.rows)))}>${
      month ? `credits, ${count(month.totals.requests)} calls` : "credits"
    }<//>
    <${Tile} name="Calls today" value=${shown(calls, (known) => count(known.requests))}>${
      calls && calls.requests > 0
        ? `${rate === null ? "" : `${Math.round(rate * 1000) / 10} % completed`}${
            calls.averageLatency === null ? "" : `, ${duration(calls.averageLatency)} on average`
          }`
        : "that were paid for"
    }<//>
    <${Tile} name="Now" value=${shown(queue, () => count(open("running")))}>${
      queue ? `running, ${count(open("waiting"))} waiting` : "running"
    }<//>
  </dl>`;
}

function Month({ known }) {
  return html`<${Card} title="Spend this month" id="spend"
    aside="all teams, day upon day">
    <${Known} known=${known} what="The spend" lines=${5}>${(month) => {
      const line = running(month.rows);
      if (!line) return html`<${Empty} title="Nothing was spent this month yet" />`;
      const [moments] = line.rows;
      const [first, last] = [Date.parse(`${line.month}-01T00:00:00Z`) / 1000, moments.at(-1)];
      const range = { x: [first, Math.max(last, first + 86_400) + 43_200], y: [0, line.rows[1].at(-1) * 1.08 || 1] };
      const rows = [[first, ...moments], [0, ...line.rows[1]]];
      return html`
        <p class="total"><span class="big numbers">${credits(line.spent)}</span> <span
          class="soft">credits in ${monthOf(`${line.month}-01`)}</span></p>
        <${Chart} rows=${rows} range=${range}
          series=${[{ colour: "accent", fill: "accent-wash", width: 2.5 }]}
          xValues=${(_, all) => all.map((at) => shortDay(at * 1000, "UTC"))}
          xSteps=${WHOLE_DAYS} zone="UTC"
          yValues=${(_, all) => all.map((value) => value.toLocaleString("en-GB"))}
          summary=${`Spend of all teams this month: ${credits(line.spent)} credits up to now`} />`;
    }}<//>
  <//>`;
}

function Shares({ title, id, first, known, rows, name, link }) {
  return html`<${Card} title=${title} id=${id} aside="credits">
    <${Known} known=${known} what=${title} lines=${4}>${(report) => {
      const found = by(rows(report), name).filter(([, amount]) => amount > 0n);
      if (found.length === 0) return html`<${Empty} title="Nothing was spent yet" />`;
      const written = column(found.map(([, amount]) => amount));
      return html`<table><caption class="sr">${title}</caption>
        <thead><tr><th scope="col">${first}</th><th scope="col" class="number">Credits</th></tr></thead>
        <tbody>${found.slice(0, 2 * SHOWN).map(
          ([text, amount]) => html`<tr key=${text}><th scope="row" class="name">${
            link ? html`<a href=${`#team/${text}`}>${text}</a>` : text
          }</th><td class="number">${written(amount)}</td></tr>`,
        )}</tbody></table>`;
    }}<//>
  <//>`;
}

function Nearest({ known }) {
  return html`<${Card} title="Budgets that end first" id="nearest"
    aside=${html`<a href="#teams">All teams</a>`}>
    <${Known} known=${known} what="The budgets" lines=${5}>${({ teams }) => {
      if (teams.length === 0) return html`<${Empty} title="No teams">The configuration names none.<//>`;
      const sorted = [...teams].sort((one, other) => nearness(other) - nearness(one));
      return html`<ul class="nearest">${sorted.slice(0, SHOWN).map(
        (team) => html`<li key=${team.team}><a class="strong name"
          href=${`#team/${team.team}`}>${team.team}</a><${BudgetLine} team=${team} /></li>`,
      )}</ul>`;
    }}<//>
  <//>`;
}

export function Overview({ session }) {
  const [today, month, teams, queue, metrics] = ["today", "month", "teams", "queue", "metrics"].map(
    (name) => session.known(name),
  );
  return html`
    <${Tiles} today=${today.data} month=${month.data} queue=${queue.data} />
    <div class="pair">
      <div class="stack"><${Month} known=${month} /><${Nearest} known=${teams} /></div>
      <div class="stack"><${Health} session=${session} /><${Refusals} known=${metrics} /></div>
    </div>
    <div class="pair">
      <${Shares} title="Spend by team, this month" id="byteam" first="Team" known=${month}
        rows=${(report) => report.rows} name="team" link=${true} />
      <${Shares} title="Spend by model, today" id="bymodel" first="Model" known=${today}
        rows=${(report) => report.rows} name="model" />
    </div>`;
}
