// The latest calls of a team: the user, the model, the cost, and why a call made nothing.

import { html } from "../shared/lib.js";
import { credits, micros, places } from "../shared/credits.js";
import { Badge, Card, Empty, Known, Time } from "../shared/elements.js";
import { duration } from "../shared/times.js";
import { linkTo } from "./call.js";
import { OUTCOMES, why } from "./words.js";

function Row({ call, decimals, zone }) {
  const ended = OUTCOMES[call.outcome === "refused" ? "refused" : call.status] ?? OUTCOMES.unknown;
  const reason = why(call);
  return html`<tr>
    <td class="when wide"><${Time} at=${call.createdAt} zone=${zone} /></td>
    <th scope="row"><span class="name">${call.endpoint}</span>
      <small class="wide"><a href=${linkTo(call.id)}><code>${call.id}</code></a></small><small class="narrow name">${call.keyName ?? call.user},<br /><${Time} at=${call.createdAt}
        zone=${zone} /></small></th>
    <td class="wide"><span class="name">${call.keyName ?? call.user}</span></td>
    <td><${Badge} tone=${ended.tone}>${ended.text}<//>${reason && html`<small class="below">${reason}</small>`}</td>
    <td class="number wide">${call.latency === null ? "–" : duration(call.latency)}</td>
    <td class="number strong">${credits(micros(call.cost), decimals)}</td></tr>`;
}

export const Calls = ({ known, zone }) => html`<${Card} title="Latest calls" id="calls"
  aside="those that ended last">
  <${Known} known=${known} what="The calls" lines=${6}>${({ rows }) => {
    if (rows.length === 0) return html`<${Empty} title="No calls yet" />`;
    const decimals = places(rows.map(({ cost }) => micros(cost)));
    return html`<table class="history"><caption class="sr">The team's latest calls, newest first</caption>
      <thead><tr><th scope="col" class="wide">When</th><th scope="col">Model</th><th scope="col" class="wide">User</th>
        <th scope="col">Outcome</th><th scope="col" class="number wide">Took</th><th scope="col"
          class="number">Credits</th></tr></thead>
      <tbody>${rows.map((call) => html`<${Row} key=${call.id} call=${call} decimals=${decimals}
        zone=${zone} />`)}</tbody></table>`;
  }}<//>
<//>`;
