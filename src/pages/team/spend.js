// Spend by model and by user, this month and last.

import { html, useState } from "../shared/lib.js";
import { credits, micros, places, share } from "../shared/credits.js";
import { Bar, Card, Empty, Known, count, plural } from "../shared/elements.js";
import { monthOf } from "../shared/times.js";

const SHOWN = 8;

/** One division of the spend, the most expensive first. */
function Division({ caption, first, rows }) {
  const [all, setAll] = useState(false);
  const costs = rows.map((row) => micros(row.cost));
  const most = costs.reduce((found, cost) => (cost > found ? cost : found), 0n);
  const decimals = places(costs);
  const ordered = rows
    .map((row, place) => ({ row, cost: costs[place] }))
    .sort((one, other) => (other.cost > one.cost ? 1 : other.cost < one.cost ? -1 : 0));
  const shown = all ? ordered : ordered.slice(0, SHOWN);
  return html`<div>
    <table>
      <caption class="sr">${caption}</caption>
      <thead><tr><th scope="col">${first}</th><th scope="col" class="number">Calls</th><th
        scope="col" class="number">Credits</th></tr></thead>
      <tbody>${shown.map(
        ({ row, cost }) => html`
        <tr key=${row.id ?? row.name}>
          <th scope="row"><span class="name">${row.name}</span>${
            row.id && html` <span class="soft small">key ${row.id}</span>`
          }<${Bar}
            parts=${[{ kind: "used", share: share(cost, most) }]} /></th>
          <td class="number">${count(row.requests)}</td>
          <td class="number strong">${credits(cost, decimals)}</td>
        </tr>`,
      )}</tbody>
    </table>
    ${ordered.length > SHOWN && html`<button type="button" class="quiet"
      onClick=${() => setAll(!all)}>${all ? "Show fewer" : `Show all ${ordered.length}`}</button>`}
  </div>`;
}

/** Users and models beyond the most that are counted apart are one, named `*`. */
const named = (name) => (name === "*" ? "all others" : name);

function Month({ usage }) {
  if (usage.totals.requests === 0)
    return html`<${Empty} title=${`Nothing was spent in ${monthOf(usage.from)}`} />`;
  const models = usage.models.map((model) => ({ ...model, name: named(model.endpoint) }));
  const users = usage.users.map((user) => ({
    ...user,
    name: user.keyName ?? named(user.user),
    id: user.keyName && user.user.replace(/^key:/, ""),
  }));
  const { requests, completed, images, videoSeconds, cost } = usage.totals;
  const made = [
    images > 0 && plural(images, "image"),
    videoSeconds > 0 && `${count(videoSeconds)} s of video`,
  ]
    .filter(Boolean)
    .join(", ");
  return html`
    <p class="total"><span class="big numbers">${credits(micros(cost))}</span> <span
      class="soft">credits in ${monthOf(usage.from)}: ${plural(requests, "call")}, ${count(completed)} completed${made && `, ${made}`}</span></p>
    <div class="divisions">
      <${Division} caption="Spend by model" first="Model" rows=${models} />
      <${Division} caption="Spend by user" first="User" rows=${users} />
    </div>`;
}

export function Spend({ month, lastMonth }) {
  const [which, choose] = useState("month");
  const tab = (name, text) =>
    html`<button type="button" aria-pressed=${which === name}
      onClick=${() => choose(name)}>${text}</button>`;
  const toggle = html`<div class="segments" role="group"
    aria-label="Which month">${tab("month", "This month")}${tab("last", "Last month")}</div>`;
  return html`<${Card} title="Spend" id="spend" aside=${toggle}>
    <${Known} known=${which === "month" ? month : lastMonth} what="The spend"
      lines=${5}>${(usage) => html`<${Month} usage=${usage} />`}<//>
  <//>`;
}
