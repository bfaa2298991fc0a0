// The team's calls, newest first: the cost, the duration, the outcome, and why.

import { html, useState } from "../shared/lib.js";
import { credits, micros, places } from "../shared/credits.js";
import { Badge, Card, Copy, Empty, Known, Time, count } from "../shared/elements.js";
import { duration } from "../shared/times.js";
import { useSight } from "./kept.js";
import { Thumbnail } from "./media.js";
import { OUTCOMES, why } from "./words.js";

export const PAGE = 25;

export const historyPath = ({ page = 0, model = "" }) => {
  const query = new URLSearchParams({ limit: PAGE, offset: page * PAGE });
  if (model) query.set("endpoint", model);
  return `api/generations?${query}`;
};

function Details({ call, zone }) {
  const reason = why(call);
  const fact = (name, value) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  return html`<dl class="facts details">
    ${fact("Why", reason)}
    ${fact("User", call.keyName ? `${call.keyName} (${call.user})` : call.user)}
    ${fact("Credential", call.credential)}
    ${fact("Admitted", html`<${Time} at=${call.createdAt} zone=${zone} precise=${true} />`)}
    ${fact("Took", call.latency !== null && duration(call.latency))}
    ${fact("Held while it ran", `${credits(micros(call.reserved))} credits`)}
    ${fact("Status", call.httpStatus && `${call.httpStatus}${call.code ? ` ${call.code}` : ""}`)}
    ${fact("Call", html`<code>${call.id}</code> <${Copy} text=${call.id} what="the call's id" />`)}
    ${fact("Request", html`<code>${call.requestId}</code>`)}
  </dl>`;
}

const made = ({ images, videoSeconds }) =>
  [images > 1 && `${images} images`, videoSeconds > 0 && `${count(videoSeconds)} s of video`]
    .filter(Boolean)
    .join(", ");

function Row({ call, decimals, zone, answer, onSight }) {
  const [open, setOpen] = useState(false);
  const place = useSight(onSight);
  const ended = OUTCOMES[call.outcome === "refused" ? "refused" : call.status] ?? OUTCOMES.unknown;
  const reason = why(call);
  return html`
    <tr ref=${place} class=${open ? "open" : ""}>
      <td class="when wide"><${Time} at=${call.createdAt} zone=${zone} /></td>
      <th scope="row"><div class="model">${answer && html`<${Thumbnail} answer=${answer}
        what=${call.endpoint} />`}
        <span><span class="name">${call.endpoint}</span><small>${made(call)}</small>
          <small class="narrow"><${Time} at=${call.createdAt} zone=${zone} /></small></span></div>
            </th>
      <td class="wide"><span class="name">${call.keyName ?? call.user}</span></td>
      <td><${Badge} tone=${ended.tone}>${ended.text}<//>${reason && html`<small
        class="why">${reason}</small>`}</td>
      <td class="number wide">${call.latency === null ? "–" : duration(call.latency)}</td>
      <td class="number strong">${credits(micros(call.cost), decimals)}</td>
      <td class="more"><button type="button" class="quiet" aria-expanded=${open}
        onClick=${() => setOpen(!open)}>
        <span aria-hidden="true">${open ? "−" : "+"}</span><span
          class="sr">${open ? "Hide" : "Show"} details of call ${call.id}</span></button></td>
    </tr>
    ${open && html`<tr class="inside"><td colspan="7"><${Details} call=${call} zone=${zone} /></td>
      </tr>`}`;
}

export function History({ known, models, view, onView, answers, kept, zone }) {
  const { page, model } = view;
  const filter = html`<select aria-label="Which model" value=${model}
    onChange=${(event) => onView({ page: 0, model: event.target.value })}>
    <option value="">All models</option>
    ${models.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
  </select>`;
  return html`<${Card} title="Your team's calls" id="history" aside=${filter}>
    <${Known} known=${known} what="The history" lines=${8}>${({
      generations,
      pagination,
      lost,
    }) => {
      const decimals = places(generations.map(({ cost }) => micros(cost)));
      if (generations.length === 0) {
        return page > 0
          ? html`<${Empty} title="No older calls" />`
          : html`<${Empty} title=${model ? `No calls of ${model} yet` : "No calls yet"}>What your
            team generates is listed here, with its cost and outcome.<//>`;
      }
      return html`
        <table class="history">
          <caption class="sr">Your team's calls, newest first</caption>
          <thead><tr><th scope="col" class="wide">When</th><th scope="col">Model</th><th scope="col"
            class="wide">User</th><th scope="col">Outcome</th>
            <th scope="col" class="number wide">Took</th><th scope="col" class="number">Credits</th>
              <th scope="col" class="more"><span class="sr">Details</span></th></tr></thead>
          <tbody>${generations.map((call) => html`<${Row} key=${call.id} call=${call}
            decimals=${decimals} zone=${zone} answer=${answers.get(call.id)}
            onSight=${kept.sight(call.id)} />`)}</tbody>
        </table>
        ${lost > 0 && html`<p class="soft">${count(lost)} older calls are no longer kept; their sums
          are.</p>`}
        ${(page > 0 || pagination.hasMore) && html`<nav class="pages" aria-label="Pages of the history">
          <button type="button" disabled=${page === 0}
            onClick=${() => onView({ ...view, page: page - 1 })}>Newer</button>
          <span class="soft">${page * PAGE + 1} to ${page * PAGE + generations.length}${pagination.total === null ? "" : ` of ${count(pagination.total)}`}</span>
          <button type="button" disabled=${!pagination.hasMore}
            onClick=${() => onView({ ...view, page: page + 1 })}>Older</button>
        </nav>`}`;
    }}<//>
  <//>`;
}
