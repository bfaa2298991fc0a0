// Calls that are under way, and answers kept for callers who hung up.

import { html, useState } from "../shared/lib.js";
import { credits, micros } from "../shared/credits.js";
import { Badge, Card, Empty, Known, Notice, Ticking, Time, plural } from "../shared/elements.js";
import { useSight } from "./kept.js";
import { Gallery } from "./media.js";
import { OUTCOMES } from "./words.js";

function Running({ calls }) {
  return html`<ul class="calls">${calls.map(
    (call) => html`
    <li key=${call.callId}>
      <${Badge} tone="info">${OUTCOMES[call.state].text}<//>
      <span class="name">${call.endpoint}</span>
      <span class="soft">for <${Ticking} from=${call.createdAt} /></span>
    </li>`,
  )}</ul>`;
}

function Kept({ call, zone, answer, fetchAnswer, onSight }) {
  const place = useSight(onSight);
  const [failure, setFailure] = useState(null);
  const [busy, setBusy] = useState(false);
  const get = async () => {
    setBusy(true);
    setFailure(
      await fetchAnswer(call.callId).then(
        (got) => (got.answer ? null : got.message),
        (error) => error.message,
      ),
    );
    setBusy(false);
  };
  return html`<li ref=${place}>
    <${Badge} tone=${OUTCOMES[call.outcome]?.tone}>${OUTCOMES[call.outcome]?.text ?? "Done"}<//>
    <span class="name">${call.endpoint}</span>
    <span class="soft"><${Time} at=${call.createdAt} zone=${zone}
      />, ${credits(micros(call.creditsCost))} credits</span>
    ${
      answer
        ? html`<${Gallery} answer=${answer} what=${call.endpoint} />`
        : call.answerBytes === null
          ? html`<span class="soft">${call.message}</span>`
          : html`<button type="button" disabled=${busy} onClick=${get}>Fetch<span class="sr"> the
            answer of ${call.callId}</span></button>`
    }
    ${failure && html`<${Notice} tone="warn">${failure}<//>`}
  </li>`;
}

export function Open({ known, zone, answers, kept: all, fetchAnswer }) {
  return html`<${Card} title="Open calls and kept answers" id="open">
    <${Known} known=${known} what="Open calls" lines=${2}>${({ requests }) => {
      const open = requests.filter((call) => call.state !== "done");
      const kept = requests.filter((call) => call.state === "done");
      if (requests.length === 0)
        return html`<${Empty} title="Nothing is open">Calls that still run are listed here, and the
          answers of calls whose caller hung up.<//>`;
      return html`
        ${open.length > 0 && html`<h3>${plural(open.length, "call")} under way</h3><${Running}
          calls=${open} />`}
        ${
          kept.length > 0 &&
          html`<h3>${plural(kept.length, "answer")} kept</h3>
          <ul class="calls">${kept.map((call) => html`<${Kept} key=${call.callId} call=${call}
            zone=${zone} answer=${answers.get(call.callId)} fetchAnswer=${fetchAnswer}
            onSight=${all.sight(call.callId)} />`)}</ul>`
        }`;
    }}<//>
  <//>`;
}
