// Finds a call by the id in a log line or an answer's header: its team, cost, outcome and times.

import { html, useRef, useState } from "../shared/lib.js";
import { credits, micros } from "../shared/credits.js";
import {
  Badge, Card, Copy, Empty, Known, Ticking, Time, count, plural,
} from "../shared/elements.js";
import { duration } from "../shared/times.js";
import { ID, linkTo } from "./call.js";
import { OUTCOMES, why } from "./words.js";

const made = ({ images, videoSeconds }) =>
  [images > 0 && plural(images, "image"), videoSeconds > 0 && `${count(videoSeconds)} s of video`]
    .filter(Boolean)
    .join(", ");

/** The call's outcome, or its state while it is open. */
const standing = ({ state, outcome, status }) =>
  OUTCOMES[state === "done" ? (outcome === "refused" ? outcome : status) : state] ??
  OUTCOMES.unknown;

function Found({ call, zone }) {
  const isOpen = call.state !== "done";
  const { tone, text } = standing(call);
  const fact = (name, value) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  const time = (name, at) =>
    fact(name, at && html`<${Time} at=${at} zone=${zone} precise=${true} />`);
  const id = (name, value) =>
    fact(name, html`<code>${value}</code> <${Copy} text=${value} what=${name.toLowerCase()} />`);
  const amount = (value) => html`<span class="numbers">${credits(micros(value))}</span> credits`;
  const status = call.httpStatus && `${call.httpStatus}${call.code ? ` ${call.code}` : ""}`;
  return html`<${Card} title=${call.endpoint} id=${`call-${call.id}`} class="call"
    aside=${html`<${Badge} tone=${tone}>${text}<//>`}>
    <dl class="facts">
      ${!isOpen && fact("Why", why(call))}
      ${fact("Team", html`<a class="name" href=${`#team/${call.team}`}>${call.team}</a>`)}
      ${fact("User", html`<span class="name">${call.user}</span>`)}
      ${fact("Key", call.keyName && html`<span class="name">${call.keyName}</span>`)}
      ${fact("Credential", html`<span class="name">${call.credential}</span>`)}
      ${!isOpen && fact("Made", made(call) || "nothing")}
      ${fact("Reserved", amount(call.reserved))}
      ${fact("Charged", isOpen ? "not before it ends" : amount(call.cost))}
      ${fact("Status", status)}
      ${time("Admitted", call.createdAt)}
      ${isOpen && fact("Open for", html`<${Ticking} from=${call.createdAt} />`)}
      ${time("Sent", call.sentAt)}
      ${time("Answered", call.answeredAt)}
      ${time("Settled", call.settledAt)}
      ${fact("Took", typeof call.latency === "number" && duration(call.latency))}
      ${fact("Prices", call.priceVersion && html`<span class="name">${call.priceVersion}</span>`)}
      ${id("Call id", call.id)}
      ${id("Request id", call.requestId)}
    </dl>
  <//>`;
}

const Nowhere = () => html`<${Card}><div role="status"><${Empty} title="No call has this id">A call
  that was refused for a limit or a credential was never admitted and has no row: its team's page
  lists it under Refused lately, and the line of the log that has its request_id says why. Rows that
  are no longer kept are not found either.<//></div><//>`;

function Calls({ known, id, zones }) {
  if (known.failure?.status === 404) return html`<${Nowhere} />`;
  if (!known.data)
    return html`<${Card}><${Known} known=${known} what="The call" lines=${5} /><//>`;
  const { calls } = known.data;
  const carried = calls.some((call) => call.requestId === id && call.id !== id);
  const has = carried ? "carried this request id" : "has this id";
  return html`<p class="soft" role="status">${plural(calls.length, "call")} ${has}${
    calls.length > 1 ? ", newest first" : ""
  }.</p>
    ${calls.map((call) => html`<${Found} key=${call.id} call=${call}
      zone=${zones.get(call.team)} />`)}`;
}

export function Find({ session, sought: id = "" }) {
  const [text, setText] = useState(id);
  const [wrong, setWrong] = useState(id !== "" && !ID.test(id));
  const field = useRef();
  const known = session.known("call");
  const zones = new Map(
    (session.known("teams").data?.teams ?? []).map((team) => [team.team, team.time_zone]),
  );
  const submit = (event) => {
    event.preventDefault();
    const wanted = text.trim();
    setWrong(!ID.test(wanted));
    if (!ID.test(wanted)) return field.current.focus();
    if (wanted === id) session.again("call");
    else location.hash = linkTo(wanted);
  };
  return html`
    <${Card} title="By its id" id="find">
      <form class="find" role="search" aria-label="Find a call" onSubmit=${submit} novalidate>
        <label for="call-id">Call id or request id</label>
        <input id="call-id" ref=${field} type="search" autocomplete="off" spellcheck="false"
          autocapitalize="none" value=${text} aria-invalid=${wrong}
          aria-describedby=${wrong ? "no-id" : "which-id"}
          onInput=${(event) => setText(event.target.value)} />
        <button type="submit" class="primary">Find</button>
        ${
          wrong
            ? html`<p id="no-id" class="wrong" role="alert">This is no id: one has letters, digits,
              points, underscores and hyphens, at most 128 of them.</p>`
            : html`<p id="which-id" class="soft small">An answer has them in X-Call-Id and
              X-Request-Id, a line of the log in call_id and request_id. The address of this page
              then is a link to the call.</p>`
        }
      </form>
    <//>
    ${known && html`<${Calls} known=${known} id=${id} zones=${zones} />`}`;
}
