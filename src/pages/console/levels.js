// Users and keys of a team: what each spent, its scarcest limit, and whose calls are refused now.

import { html, useState } from "../shared/lib.js";
import { credits, micros, places, share } from "../shared/credits.js";
import { Badge, Bar, Card, Empty, Time, count } from "../shared/elements.js";
import { parts, read, resets, tone, what } from "../shared/limits.js";
import { LimitsTable } from "../shared/limits_table.js";
import { resume, suspend, topUp } from "./actions.js";

const taken = ({ used, reserved, max }) => share(used + reserved, max);
const WHOSE = { user: "each user", key: "this key" };
/** The share of use from which a call may be refused although something is left. */
const SCARCE = 0.8;
const nearestOf = (limits) => [...limits].sort((one, other) => taken(other) - taken(one))[0];

/** The limits that are used up: calls under them are refused. */
export const bound = (limits) =>
  limits.filter((limit) => !limit.shadow && limit.remaining <= 0n && limit.max >= 0n);

export const prepaid = (limits) => limits.find((limit) => limit.kind === "credits_total");

const id = ({ name }) => name.replace(/^key:/, "");

/**
 * Users and keys. A key that is its own user is listed once, with the limits of both and what it
 * spent.
 */
function merged(levels) {
  const keys = new Map(levels.filter(({ level }) => level === "key").map((key) => [`key:${key.name}`, key]));
  const users = levels.filter(({ level }) => level === "user");
  const withKeys = users.map((user) =>
    keys.has(user.name) ? { ...user, limits: [...user.limits, ...keys.get(user.name).limits] } : user,
  );
  const named = new Set(users.map(({ name }) => name));
  return [...withKeys, ...[...keys].filter(([name]) => !named.has(name)).map(([, key]) => key)];
}

/** The rest of a limit, in words and as a bar. */
function Nearest({ limit }) {
  if (!limit) return html`<span class="soft">No limits of its own</span>`;
  const decimals = places([limit.remaining, limit.max]);
  const written = (value) => (limit.isCredits ? credits(value, decimals) : count(value));
  return html`<div class="budget-line"><${Bar} parts=${parts(limit)} tone=${tone(limit)} />
    <p><span class="numbers strong">${written(limit.remaining)}</span> of ${written(limit.max)} left <span
      class="soft">· ${what(limit.kind).toLowerCase()}</span></p></div>`;
}

/** Whether calls are admitted now; if not, which limit refuses them, and until when. */
function State({ level, limits, zone, all }) {
  if (level.suspended) return html`<${Badge} tone="warn">Suspended<//>`;
  const [refusing] = bound(limits);
  if (refusing)
    return html`<${Badge} tone="bad">Refused<//><small class="below">${what(refusing.kind)}: used
      up${resets(refusing) && html`, until <${Time} at=${refusing.reset} zone=${zone} />`}</small>`;
  if (all) return html`<${Badge} tone="bad">Refused<//><small class="below">${all}</small>`;
  const scarce = limits.find((limit) => limit.isCredits && !limit.shadow && taken(limit) >= SCARCE);
  if (scarce)
    return html`<${Badge} tone="warn">Nearly used up<//><small class="below">${what(scarce.kind)}: a call
      that may cost more than ${credits(scarce.remaining)} is refused</small>`;
  return html`<${Badge} tone="good">May call<//>`;
}

function Acts({ level, team, limits, session }) {
  const isUser = level.level === "user";
  const budget = prepaid(limits);
  const of = budget?.level === "key" ? { key: id(level) } : { user: level.name };
  const label = level.keyName ?? level.name;
  const button = (text, action, kind = "") =>
    html`<button type="button" class=${`quiet ${kind}`} onClick=${() => session.ask(action)}>${text}<span
      class="sr"> ${label}</span></button>`;
  return html`
    ${budget && button("Top up", topUp(team, of, budget.max))}
    ${
      isUser &&
      (level.suspended
        ? button("Resume", resume(team, level.name))
        : button("Suspend", suspend(team, level.name), "bad"))
    }`;
}

function Row({ level, team, zone, session, all, decimals }) {
  const [open, setOpen] = useState(false);
  const limits = level.limits.map(read);
  const label = level.keyName ?? level.name;
  const acts = html`<${Acts} level=${level} team=${team} limits=${limits} session=${session} />`;
  return html`
    <tr class=${open ? "open" : ""}>
      <th scope="row"><span class="what name">${label}</span><small class="name">${
        level.level === "key" || level.keyName ? `key ${id(level)}` : "user"
      }</small></th>
      <td><${State} level=${level} limits=${limits} zone=${zone} all=${all} /></td>
      <td class="budget-cell wide"><${Nearest} limit=${nearestOf(limits)} /></td>
      <td class="number">${level.month ? credits(micros(level.month.cost), decimals) : "–"}</td>
      <td class="number wide">${level.month ? count(level.month.requests) : "–"}</td>
      ${session.mayChange && html`<td class="acts wide">${acts}</td>`}
      <td class="more"><button type="button" class="quiet" aria-expanded=${open}
        onClick=${() => setOpen(!open)}><span aria-hidden="true">${open ? "−" : "+"}</span><span
        class="sr">${open ? "Hide" : "Show"} limits of ${label}</span></button></td>
    </tr>
    ${
      open &&
      html`<tr class="inside"><td colspan=${session.mayChange ? 7 : 6}>${session.mayChange && html`<div
        class="narrow">${acts}</div>`}${
        limits.length === 0
          ? html`<p class="soft">No limits of its own: those of the team bound it.</p>`
          : html`<${LimitsTable} limits=${limits} zone=${zone} who=${WHOSE}
          caption=${`Limits of ${label}`} />`
      }</td></tr>`
    }`;
}

/** Users and keys as a table; `all` says why all calls of the team are refused, if they are. */
export function Levels({ value, session, all }) {
  const [sought, seek] = useState("");
  const others = merged(value.levels);
  const isSought = ({ name, keyName = "" }) =>
    `${name} ${keyName}`.toLowerCase().includes(sought.trim().toLowerCase());
  const shown = others.filter(isSought);
  const decimals = places(shown.map(({ month }) => micros(month?.cost)));
  const field = html`<input type="search" aria-label="Find a user or key" placeholder="Find a user or key"
    value=${sought} onInput=${(event) => seek(event.target.value)} />`;
  return html`<${Card} title="Users and keys" id="levels" aside=${others.length > 5 ? field : "credits and calls of this month"}>
    ${
      shown.length === 0
        ? html`<${Empty} title=${sought ? `Nobody is named ${sought}` : "Nobody called this month"}>Users
        stand here once they call, keys once they have limits of their own.<//>`
        : html`<table class="levels"><caption class="sr">Users and keys of the team</caption>
        <thead><tr><th scope="col">Who</th><th scope="col">Now</th><th scope="col" class="wide">Nearest limit</th>
          <th scope="col" class="number">Month</th><th scope="col" class="number wide">Calls</th>
          ${session.mayChange && html`<th scope="col" class="wide"><span class="sr">Change</span></th>`}
          <th scope="col" class="more"><span class="sr">Limits</span></th></tr></thead>
        <tbody>${shown.map(
          (level) => html`<${Row} key=${`${level.level} ${level.name}`} level=${level} team=${value.team}
            zone=${value.timeZone} session=${session} all=${all} decimals=${decimals} />`,
        )}</tbody></table>`
    }
    ${value.hidden > 0 && html`<p class="soft">${count(value.hidden)} more spent less and are not shown.</p>`}
  <//>`;
}
