// Calls that were refused lately: when, whose they were, and which limit or rule refused them.

import { html } from "./lib.js";
import { Badge, Card, Empty, Known, Time, sentence } from "./elements.js";
import { what } from "./limits.js";

/** `Requests a minute of the user`. */
function inWords(limit) {
  const [level, kind] = limit.split(":");
  return `${what(kind)} of the ${level}`;
}

function Row({ call, zone, reason, names }) {
  const who = (call.keyId && names?.get(call.keyId)) || (call.keyName ?? call.user);
  return html`<tr>
    <td class="when wide"><${Time} at=${call.createdAt} zone=${zone} /></td>
    <th scope="row"><span class="name">${call.endpoint ?? "–"}</span>
      <small class="wide"><code>${call.callId}</code></small>
      <small class="narrow name">${who},<br /><${Time} at=${call.createdAt}
        zone=${zone} /></small></th>
    <td class="wide"><span class="name">${who}</span></td>
    <td><${Badge} tone="warn">${reason(call.code)}<//>
      ${call.limit && html`<small class="below">${inWords(call.limit)}</small>`}
      <small class="below">${sentence(call.message)}</small></td></tr>`;
}

/**
 * A table of refused calls: `reason` puts a code into words, `names` has the names of keys by id.
 */
export const Refused = ({ known, zone, reason, names }) => html`<${Card} title="Refused lately"
  id="refused" aside="in the last 7 days, 100 at most">
  <${Known} known=${known} what="The refused calls" lines=${4}>${({ refusals }) => {
    if (refusals.length === 0) return html`<${Empty} title="Nothing was refused lately" />`;
    return html`<table class="history refused">
      <caption class="sr">Calls that were refused lately, newest first</caption>
      <thead><tr><th scope="col" class="wide">When</th><th scope="col">Model</th>
        <th scope="col" class="wide">User</th><th scope="col">Why</th></tr></thead>
      <tbody>${refusals.map((call) => html`<${Row} key=${call.callId} call=${call} zone=${zone}
        reason=${reason} names=${names} />`)}</tbody></table>`;
  }}<//>
<//>`;
