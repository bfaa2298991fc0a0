// The gateway keys: whose they are, when each was used, and until when its secrets are valid.

import { html, useState } from "../shared/lib.js";
import { Badge, Card, Empty, Known, Time } from "../shared/elements.js";
import { make, revoke, rotate } from "./key_actions.js";

const STATES = {
  active: { tone: "good", text: "Active" },
  expired: { tone: "warn", text: "Expired" },
  revoked: { tone: "", text: "Revoked" },
  team_unknown: { tone: "bad", text: "Team unknown" },
};

/** The valid secrets of a key with two or more: the newest, and until when the others are valid. */
function Overlap({ secrets }) {
  const older = secrets.filter(({ state }) => state === "overlap");
  return older.map(
    ({ ends_at: endsAt }, index) => html`<small key=${index} class="overlap"><${Badge} tone="info">Overlap<//> an older
      secret is good until <${Time} at=${endsAt} /></small>`,
  );
}

function Bounds({ value }) {
  const told = [
    value.user && `user ${value.user}`,
    value.models && `models ${value.models.join(", ")}`,
    value.source === "configuration" && "in the configuration",
  ].filter(Boolean);
  return html`<small class="name">${told.join(" · ")}</small>`;
}

function Row({ value, session }) {
  const state = STATES[value.state] ?? { tone: "", text: value.state };
  const mayBe = session.mayChange && value.source === "store" && !value.revoked_at;
  const ask = (action) => () => session.ask(action(value));
  const acts =
    mayBe &&
    html`<button type="button" class="quiet" onClick=${ask(rotate)}>Rotate<span
        class="sr"> key ${value.name}</span></button>
      <button type="button" class="quiet bad" onClick=${ask(revoke)}>Revoke<span
        class="sr"> key ${value.name}</span></button>`;
  return html`<tr>
    <th scope="row"><span class="what name">${value.name}</span><small><code>mgk_${value.id}_…</code></small>
      <${Bounds} value=${value} /><${Overlap} secrets=${value.secrets} />
      ${acts && html`<div class="narrow">${acts}</div>`}</th>
    <td><a class="name" href=${`#team/${value.team}`}>${value.team}</a></td>
    <td><${Badge} tone=${state.tone}>${state.text}<//>${
      value.revoked_at
        ? html`<small class="below"><${Time} at=${value.revoked_at} /></small>`
        : value.expires_at && html`<small class="below">until <${Time} at=${value.expires_at} /></small>`
    }</td>
    <td class="wide">${value.last_used_at ? html`<${Time} at=${value.last_used_at} />` : html`<span class="soft">never</span>`}</td>
    <td class="wide">${value.created_at ? html`<${Time} at=${value.created_at} /><small class="below name">by ${value.created_by}</small>` : html`<span class="soft">–</span>`}</td>
    ${session.mayChange && html`<td class="acts wide">${acts}</td>`}
  </tr>`;
}

export function Keys({ session }) {
  const [team, setTeam] = useState("");
  const [withRevoked, setWithRevoked] = useState(false);
  const teams = (session.known("teams").data?.teams ?? []).map((known) => known.team);
  const aside = html`
    <label class="check inline"><input type="checkbox" checked=${withRevoked}
      onChange=${(event) => setWithRevoked(event.target.checked)} /> Revoked too</label>
    <select aria-label="Which team" value=${team} onChange=${(event) => setTeam(event.target.value)}>
      <option value="">All teams</option>
      ${teams.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select>
    ${
      session.mayChange &&
      teams.length > 0 &&
      html`<button type="button" class="primary small"
        onClick=${() => session.ask(make(teams, team || teams[0]))}>Make a key</button>`
    }`;
  return html`<${Card} title="Gateway keys" id="keys" aside=${aside}>
    <${Known} known=${session.known("keys")} what="The keys" lines=${6}>${({ keys }) => {
      const shown = keys.filter(
        (key) => (!team || key.team === team) && (withRevoked || !key.revoked_at),
      );
      if (shown.length === 0)
        return html`<${Empty} title="No keys">${
          keys.length > 0 ? "None that are good here." : "Teams may also call with tokens of an issuer."
        }<//>`;
      return html`<table class="keys"><caption class="sr">Gateway keys</caption>
        <thead><tr><th scope="col">Key</th><th scope="col">Team</th><th scope="col">State</th>
          <th scope="col" class="wide">Last used</th><th scope="col" class="wide">Made</th>
          ${session.mayChange && html`<th scope="col" class="wide"><span class="sr">Change</span></th>`}</tr></thead>
        <tbody>${shown.map((key) => html`<${Row} key=${key.id} value=${key} session=${session} />`)}</tbody>
      </table>`;
    }}<//>
  <//>`;
}
