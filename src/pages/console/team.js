// One team: whether it may call, its budget and limits, its users and keys, and its calls.

import { html } from "../shared/lib.js";
import { Budget } from "../shared/budget.js";
import { Card, Empty, Known, Loading, Notice, Time } from "../shared/elements.js";
import { read, resets, what } from "../shared/limits.js";
import { LimitsTable } from "../shared/limits_table.js";
import { Refused } from "../shared/refused.js";
import { resume, suspend, topUp } from "./actions.js";
import { Calls } from "./calls.js";
import { Levels, bound, prepaid } from "./levels.js";
import { Loss } from "./loss.js";
import { Refusals } from "./refusals.js";
import { Standing } from "./teams.js";
import { reason } from "./words.js";

function Buttons({ team, session }) {
  if (!session.mayChange) return null;
  const budget = prepaid(team.limits.map(read));
  const button = (text, action, kind = "") =>
    html`<button type="button" class=${kind} onClick=${() => session.ask(action)}>${text}</button>`;
  return html`<div class="acts">
    ${budget && button("Top up", topUp(team.team, {}, budget.max), "primary")}
    ${team.by_operator ? button("Resume the team", resume(team.team)) : button("Suspend the team", suspend(team.team), "danger-line")}
  </div>`;
}

/** Why all calls of the team are refused now; nothing if they are not. */
function refusedBy(team) {
  if (team.closed) return "The team is closed: the ledger has lost writes of it";
  if (team.suspended) return "The whole team is suspended";
  const [limit] = bound(team.limits.map(read));
  return limit ? `${what(limit.kind)} of the whole team: used up` : null;
}

function Head({ team, session }) {
  const refused = refusedBy(team);
  const [limit] = bound(team.limits.map(read));
  return html`
    <div class="standing"><p><${Standing} team=${team} /> <span class="soft">weight ${team.weight} in the
      queue · days and months begin in ${team.time_zone}</span></p>
      <${Buttons} team=${team} session=${session} /></div>
    ${
      refused &&
      html`<${Notice} tone="bad" title="Every call of the team is refused now">${refused}${
        !team.suspended && limit && resets(limit) && html`, until <${Time} at=${limit.reset}
        zone=${team.time_zone} />`
      }.${team.by_configuration && " The configuration says so, and only it can change that."}<//>`
    }`;
}

export function Team({ session, team: name }) {
  const [known, levels, days, calls, refused, metrics] = [
    "team",
    "levels",
    "days",
    "calls",
    "refused",
    "metrics",
  ].map((part) => session.known(part));
  if (known.failure?.status === 404)
    return html`<${Card}><${Empty} title=${`There is no team ${name}`}>It may have left the
      configuration. <a href="#teams">All teams</a><//><//>`;
  const team = known.data;
  if (!team)
    return html`<${Card}>${known.failure ? html`<${Empty} title="The team cannot be shown now" />` : html`<${Loading} what="the team" lines=${6} />`}<//>`;
  if (team.closed)
    return html`<${Head} team=${team} session=${session} /><${Loss} team=${team} session=${session} />
      <${Calls} known=${calls} zone=${team.time_zone} />
      <${Refused} known=${refused} zone=${team.time_zone} reason=${reason} />`;
  const limits = team.limits.map(read);
  const usage = days.data && { days: days.data.rows };
  const history = calls.data && {
    generations: calls.data.rows,
    pagination: { hasMore: calls.data.next !== null },
  };
  const ofKeys = (levels.data?.levels ?? []).filter(({ level }) => level === "key");
  const names = new Map(ofKeys.map(({ name, keyName }) => [name, keyName]));
  const me = { limits: team.limits, timeZone: team.time_zone, at: levels.data?.at ?? new Date() };
  return html`
    <${Head} team=${team} session=${session} />
    <div class="pair">
      <${Budget} me=${me} usage=${usage} calls=${history} />
      <${Card} title="Limits of the whole team" id="limits">${
        limits.length === 0
          ? html`<${Empty} title="No limits" />`
          : html`<${LimitsTable} limits=${limits} zone=${team.time_zone}
          caption="Limits of the whole team" />`
      }<//>
    </div>
    <${Known} known=${levels} what="Users and keys" lines=${6}>${(value) => html`<${Levels} value=${value}
      session=${session} all=${refusedBy(team)} />`}<//>
    <${Calls} known=${calls} zone=${team.time_zone} />
    <${Refused} known=${refused} zone=${team.time_zone} reason=${reason} names=${names} />
    <${Refusals} known=${metrics} team=${name} />`;
}
