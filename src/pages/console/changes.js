// The latest changes of operators, on any replica: who made them, what changed, and the state
// before.

import { html } from "../shared/lib.js";
import { Badge, Card, Empty, Known, Time } from "../shared/elements.js";
import { action } from "./words.js";

function written(value, member) {
  if (value === null || value === undefined) return "nothing";
  if (member === "secrets") {
    const older = value.filter(({ state }) => state === "overlap").length;
    return older > 0 ? `1 and ${older} in overlap` : "1";
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
const name = (member) => member.replaceAll("_", " ");

/** The members that differ. */
function differences(before, after) {
  if (typeof after !== "object" || after === null) return [["", before, after]];
  const was = before ?? {};
  const all = [...new Set([...Object.keys(was), ...Object.keys(after)])];
  return all
    .filter((member) => JSON.stringify(was[member]) !== JSON.stringify(after[member]))
    .map((member) => [member, was[member], after[member]]);
}

function Difference({ before, after }) {
  if (before === null && after?.id) {
    const { name: title, team, user, models } = after;
    return html`<span class="name">${[title, `team ${team}`, user && `user ${user}`, models?.join(", ")]
      .filter(Boolean)
      .join(" · ")}</span>`;
  }
  return html`<ul class="differences">${differences(before, after).map(
    ([member, was, is]) => html`<li key=${member}>${name(member)} <code>${written(was, member)}</code> <span
      class="soft">→</span><span class="sr">became</span> <code>${written(is, member)}</code></li>`,
  )}</ul>`;
}

export const Changes = ({ session }) => html`<${Card} title="What operators changed" id="changes"
  aside="the last hundred; the log has them all">
  <${Known} known=${session.known("changes")} what="The changes" lines=${6}>${({ changes }) => {
    if (changes.length === 0)
      return html`<${Empty} title="Nothing was changed yet">Changes made on this page, through the API or
        with the command line are listed here. Those of the configuration file are in the log.<//>`;
    return html`<table><caption class="sr">Changes, newest first</caption>
      <thead><tr><th scope="col" class="wide">When</th><th scope="col">Change</th><th scope="col">Who</th><th
        scope="col" class="wide">Before → after</th></tr></thead>
      <tbody>${changes.map(
        (change) => html`<tr key=${change.requestId}>
        <td class="when wide"><${Time} at=${change.at} precise=${true} /></td>
        <th scope="row"><span class="what">${action(change.action)}</span> <span class="name">${change.subject}</span>
          <div class="narrow small"><${Difference} before=${change.before} after=${change.after} /></div>
          <small class="narrow"><${Time} at=${change.at} /></small>
          ${!change.certain && html`<small><${Badge} tone="bad">Not certain<//> the store fell silent</small>`}</th>
        <td class="name">${change.operator}</td>
        <td class="wide"><${Difference} before=${change.before} after=${change.after} /></td></tr>`,
      )}</tbody></table>`;
  }}<//>
<//>`;
