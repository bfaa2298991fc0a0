// The queue now: which calls wait for the shared account, since when, and each team's share.

import { html } from "../shared/lib.js";
import { credits, micros, places } from "../shared/credits.js";
import { Bar, Card, Empty, Known, Ticking, count } from "../shared/elements.js";
import { linkTo } from "./call.js";

const percent = (part) => `${Math.round(part * 1000) / 10} %`;

export function Windows({ windows }) {
  if (windows.length === 0)
    return html`<${Empty} title="No limits">The configuration sets none under
      <code>upstream.limits</code>, so no call waits for the account.<//>`;
  return html`<table><caption class="sr">What is left in the shared account's windows</caption>
    <thead><tr><th scope="col">Window</th><th scope="col" class="number">Left</th><th scope="col"
      class="number">Of</th></tr></thead>
    <tbody>${windows.map(
      ({ key, window, limit, remaining }) => html`<tr key=${`${key} ${window}`}>
      <th scope="row"><span class="what">a ${window}</span><small class="name">${key ? `key ${key}` : "all keys together"}</small>
        ${limit && html`<${Bar} parts=${[{ kind: "used", share: 1 - remaining / limit }]} />`}</th>
      <td class="number strong">${count(remaining)}</td>
      <td class="number">${limit === null ? "–" : count(limit)}</td></tr>`,
    )}</tbody></table>`;
}

function Shares({ teams }) {
  if (teams.length === 0) return html`<${Empty} title="No team has a call open" />`;
  return html`<table><caption class="sr">The teams with open calls</caption>
    <thead><tr><th scope="col">Team</th><th scope="col" class="number">Waiting</th><th scope="col"
      class="number">Running</th><th scope="col" class="number">Share</th></tr></thead>
    <tbody>${teams.map(
      ({ team, weight, share, waiting, running }) => html`<tr key=${team}>
      <th scope="row"><a class="name strong" href=${`#team/${team}`}>${team}</a><small>weight ${count(weight)}</small></th>
      <td class="number strong">${count(waiting)}</td><td class="number">${count(running)}</td>
      <td class="number">${share === null ? "–" : percent(share)}</td></tr>`,
    )}</tbody></table>`;
}

function Waiting({ calls }) {
  if (calls.length === 0)
    return html`<${Empty} title="Nobody waits">Calls wait here while the shared account has no room
      for them.<//>`;
  const decimals = places(calls.map(({ reserved }) => micros(reserved)));
  return html`<table><caption class="sr">Calls that wait, the longest first</caption>
    <thead><tr><th scope="col">Call</th><th scope="col">Team</th><th scope="col" class="wide">User</th><th scope="col"
      class="number">Waits</th><th scope="col" class="number wide">Reserved</th></tr></thead>
    <tbody>${calls.map(
      (call) => html`<tr key=${call.callId}>
      <th scope="row"><span class="name">${call.endpoint}</span><small class="wide"><a
        href=${linkTo(call.callId)}><code>${call.requestId}</code></a></small>
        <small class="narrow name">${call.keyName ?? call.user}</small></th>
      <td><a class="name" href=${`#team/${call.team}`}>${call.team}</a></td>
      <td class="name wide">${call.keyName ?? call.user}</td>
      <td class="number strong"><${Ticking} from=${call.since} /></td>
      <td class="number wide">${credits(micros(call.reserved), decimals)}</td></tr>`,
    )}</tbody></table>`;
}

export function Queue({ session }) {
  const known = session.known("queue");
  const card = (title, id, aside, children) =>
    html`<${Card} title=${title} id=${id} aside=${aside}>
      <${Known} known=${known} what=${title} lines=${4}>${children}<//><//>`;
  return html`
    ${card("Waiting now", "waiting", "of all replicas, the longest first; reserved in credits", (queue) => html`<${Waiting} calls=${queue.waiting} />`)}
    <div class="pair">
      ${card("Shares", "shares", "of what becomes free, by weight", (queue) => html`<${Shares} teams=${queue.teams} />`)}
      ${card("Room on the shared account", "windows", "calls", (queue) => html`<${Windows} windows=${queue.windows} />`)}
    </div>`;
}
