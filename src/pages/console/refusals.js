// Refusals by reason, as counted by this replica since it started.

import { html } from "../shared/lib.js";
import { Bar, Card, Empty, Known, count } from "../shared/elements.js";
import { refusals } from "./metrics.js";
import { reason } from "./words.js";

/** Refusals of every team, or of one. */
export function Refusals({ known, team = null }) {
  return html`<${Card} title="Refusals by reason" id="refusals"
    aside="of this replica, since it started">
    <${Known} known=${known} what="The refusals" lines=${4}>${(samples) => {
      const found = refusals(samples, team);
      if (found.length === 0) return html`<${Empty} title="Nothing was refused" />`;
      const most = found[0].value;
      return html`<table><caption class="sr">Refusals by reason</caption>
        <thead><tr><th scope="col">Reason</th><th scope="col" class="number">Calls</th></tr></thead>
        <tbody>${found.map(
          (one) => html`<tr key=${one.reason}>
          <th scope="row"><span class="what">${reason(one.reason)}</span>
            <small><code>${one.reason}</code></small>
            <${Bar} parts=${[{ kind: "used", share: one.value / most }]} /></th>
          <td class="number strong">${count(one.value)}</td></tr>`,
        )}</tbody></table>`;
    }}<//>
  <//>`;
}
