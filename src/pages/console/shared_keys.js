// The shared keys: which are used, why others are in cooldown, and the balances of their accounts.

import { html } from "../shared/lib.js";
import { credits, micros } from "../shared/credits.js";
import { Badge, Card, Empty, Known, Time, count } from "../shared/elements.js";
import { Windows } from "./queue.js";

const WHY = {
  rejected: "Firemoon refused it",
  rate_limited: "Firemoon said it was asked too often",
  no_credits: "Its account has no credits",
};

function State({ value }) {
  if (!value.resting) return html`<${Badge} tone="good">Used<//>`;
  const { why, since, until } = value.resting;
  return html`<${Badge} tone=${value.healthy ? "warn" : "bad"}>Rests<//><small class="below">${
    WHY[why] ?? why.replaceAll("_", " ")
  }, since <${Time} at=${since} />, until <${Time} at=${until} /></small>`;
}

export function SharedKeys({ session }) {
  const balances = new Map((session.known("month").data?.balances ?? []).map((one) => [one.key, one]));
  return html`
    <${Card} title="Keys at Firemoon" id="shared" aside="in credits, as this replica knows them">
      <${Known} known=${session.known("sharedKeys")} what="The shared keys" lines=${3}>${({ keys }) => {
        if (keys.length === 0) return html`<${Empty} title="No shared keys" />`;
        return html`<table><caption class="sr">The shared keys</caption>
          <thead><tr><th scope="col">Key</th><th scope="col">State</th><th scope="col" class="number">Balance</th>
            <th scope="col" class="number">Drift</th><th scope="col" class="number wide">Weight</th></tr></thead>
          <tbody>${keys.map((key) => {
            const balance = balances.get(key.name);
            return html`<tr key=${key.name}><th scope="row" class="name strong">${key.name}</th>
              <td><${State} value=${key} /></td>
              <td class="number">${balance ? credits(micros(balance.balance)) : html`<span class="soft">not read</span>`}</td>
              <td class="number">${balance ? credits(micros(balance.drift)) : "–"}</td>
              <td class="number wide">${count(key.weight)}</td></tr>`;
          })}</tbody></table>
          <p class="soft small note">Drift is what Firemoon took beyond what all teams spent. Set
            <code>upstream.reconcile</code> to have it read.</p>`;
      }}<//>
    <//>
    <${Card} title="Room on the shared account" id="windows" aside="calls">
      <${Known} known=${session.known("queue")} what="The room" lines=${3}>${(queue) => html`<${Windows}
        windows=${queue.windows} />`}<//>
    <//>`;
}
