// Making a picture: the form, its quote, and the calls made here.

import { html, useState } from "../shared/lib.js";
import { credits, micros } from "../shared/credits.js";
import { Badge, Card, Empty, Notice, Ticking, Time, plural, sentence } from "../shared/elements.js";
import { duration } from "../shared/times.js";
import { inWords } from "../shared/limits.js";
import { Gallery } from "./media.js";
import { useQuote } from "./quote.js";

const SIZES = [
  "square_hd",
  "square",
  "portrait_4_3",
  "portrait_16_9",
  "landscape_4_3",
  "landscape_16_9",
];

/** The body that the form makes, or what is wrong with it. */
function bodyOf({ prompt, images, size, seconds, more }, isVideo) {
  let extra = {};
  if (more.trim()) {
    try {
      extra = JSON.parse(more);
    } catch {
      return { problem: "The further fields are not JSON" };
    }
    if (extra === null || typeof extra !== "object" || Array.isArray(extra))
      return { problem: "The further fields are not one JSON object" };
  }
  const body = { prompt: prompt.trim() };
  if (isVideo && seconds) body.duration = seconds;
  if (!isVideo && images !== "1") body.num_images = Number(images);
  if (!isVideo && size) body.image_size = size;
  return { body: { ...body, ...extra } };
}

function Verdict({ known, zone }) {
  const { quote, failure, asking } = known;
  if (failure)
    return html`<${Notice} tone="bad"
      title=${failure.title}>${failure.message}${failure.errors.map((error) => html`<div
      key=${error} class="small">${error}</div>`)}<//>`;
  if (!quote)
    return html`<p class="quote soft"
      role="status">${asking ? "Asking what it costs…" : "What it costs is said here as you type."}</p>`;
  const what =
    quote.videoSeconds > 0 ? `${quote.videoSeconds} s of video` : plural(quote.images, "image");
  const price = html`<strong class="numbers">${credits(micros(quote.price))}</strong> credits
    for ${what}`;
  if (quote.verdict === "admitted")
    return html`<p class="quote" role="status"><${Badge} tone="good">May be made now<//>
      <span>At most ${price}.</span></p>`;
  return html`<${Notice} tone="warn" title="It would be refused now">
    <p>${price}. ${sentence(quote.message)}</p>
    ${quote.limit && html`<p>What binds: ${inWords(quote.limit.limit)}.</p>`}
    <p>${quote.earliest ? html`It could pass from <${Time} at=${quote.earliest} zone=${zone}
      precise=${true} />.` : "No time will help: the budget must be raised or topped up."}</p>
  <//>`;
}

/** The state of a call without an answer, from the team's open calls. */
function Waiting({ call, open }) {
  const own = open.find((known) => known.requestId === call.name);
  const queued = open
    .filter((known) => known.state === "queued")
    .sort((one, other) => (one.callId < other.callId ? -1 : 1));
  const place = queued.findIndex((known) => known === own);
  const words = () => {
    if (call.state === "lost")
      return "The connection broke. The call may run on: looking for its answer";
    if (!own) return "Sent";
    if (own.state === "running") return "Firemoon is at it";
    return `In the queue for the shared account, ${place === 0 ? "next of your team" : `${place} of your team before it`}`;
  };
  return html`<div class="waiting"><span class="spinner" aria-hidden="true"></span>
    <span role="status">${words()}</span> <span class="soft">for <${Ticking} from=${call.startedAt}
      /></span></div>`;
}

function Refused({ failure }) {
  const again = failure.resetAt && Date.parse(failure.resetAt) > Date.now();
  return html`<${Notice} tone="bad" title=${failure.title || "No answer"}>
    <p>${sentence(failure.message)}</p>
    ${failure.errors.map((error) => html`<p key=${error} class="small">${error}</p>`)}
    ${again && html`<p>Try again in <${Ticking} to=${failure.resetAt} />.</p>`}
    <p class="small soft">${[failure.code, failure.requestId].filter(Boolean).join(" · ")}</p>
  <//>`;
}

function Made({ call, open }) {
  const { queue, upstream } = call.times ?? {};
  return html`<li class="made">
    <p class="prompt"><span class="name">${call.body.prompt || "(no prompt)"}</span> <span
      class="soft">${call.model}</span></p>
    ${["sent", "lost"].includes(call.state) && html`<${Waiting} call=${call} open=${open} />`}
    ${call.state === "refused" && html`<${Refused} failure=${call.failure} />`}
    ${
      call.state === "done" &&
      html`
      <${Gallery} answer=${call.answer} what=${call.body.prompt || call.model} />
      <p class="soft small" role="status">Cost <span
        class="numbers">${credits(micros(call.cost))}</span> credits${
        queue > 0.05 ? `, waited ${duration(queue)} in the queue` : ""
      }${upstream ? `, made in ${duration(upstream)}` : ""}.</p>`
    }
  </li>`;
}

/** An empty form, for the first of these models. */
export const draft = (models) => ({
  model: models.includes("flux/dev") ? "flux/dev" : (models[0] ?? ""),
  prompt: "",
  images: "1",
  size: "",
  seconds: "",
  more: "",
});

export function Generate({ session, models, open, zone, tick }) {
  const { api, made: calls } = session;
  const [form, keep] = useState(session.draft ?? draft(models));
  // Keeps what was typed while another view is open.
  const setForm = (next) => {
    session.draft = next;
    keep(next);
  };
  const [asked, setAsked] = useState(false);
  const [kinds, setKinds] = useState({});
  const isVideo = kinds[form.model] === true;
  const { body, problem } = bodyOf(form, isVideo);
  const ended = calls.list.filter((call) => call.endedAt).length;
  const known = useQuote(api, form.model, body, ended, tick);
  const { quote } = known;
  if (quote?.model === form.model && kinds[form.model] === undefined)
    setKinds({ ...kinds, [form.model]: quote.videoSeconds > 0 });
  const field = (key) => ({
    value: form[key],
    onInput: (event) => setForm({ ...form, [key]: event.target.value }),
  });
  const missing = asked && !form.prompt.trim();
  const submit = (event) => {
    event.preventDefault();
    setAsked(true);
    if (problem || !form.prompt.trim())
      return document.getElementById(problem ? "more" : "prompt").focus();
    setAsked(false);
    calls.make(form.model, body);
  };
  if (models.length === 0)
    return html`<${Card} title="A new call" id="generate"><${Empty} title="No model">Your team may
      use none of the models that have a price here.<//><//>`;
  return html`<div class="make">
    <${Card} title="A new call" id="generate">
      <form onSubmit=${submit} noValidate>
        <label for="model">Model</label>
        <select id="model" ...${field("model")}>${models.map((id) => html`<option key=${id}
          value=${id}>${id}</option>`)}</select>
        <label for="prompt">Prompt</label>
        <textarea id="prompt" rows="3" required aria-invalid=${missing}
          aria-describedby=${missing ? "missing" : null}
          placeholder="a lighthouse at dusk, long exposure" ...${field("prompt")}></textarea>
        ${missing && html`<p id="missing" class="wrong">Say what the picture shows.</p>`}
        <div class="row">
          ${
            isVideo
              ? html`<div><label for="seconds">Length</label><select id="seconds"
                ...${field("seconds")}>
                <option value="">Default</option><option value="5">5 s</option><option
                  value="10">10 s</option></select></div>`
              : html`<div><label for="images">Images</label><select id="images"
                ...${field("images")}>${["1", "2", "3", "4"].map((n) => html`<option
                key=${n}>${n}</option>`)}</select></div>
              <div><label for="size">Size</label><select id="size" ...${field("size")}><option
                value="">Default</option>
                ${SIZES.map((size) => html`<option key=${size}
                  value=${size}>${size.replaceAll("_", " ")}</option>`)}</select></div>`
          }
        </div>
        <details><summary>Further fields</summary>
          <label for="more">As one JSON object, passed on as it is</label>
          <textarea id="more" rows="3" class="mono" spellcheck="false" placeholder=${'{"seed": 7}'}
            aria-invalid=${Boolean(problem)} ...${field("more")}></textarea>
        </details>
        ${problem ? html`<p class="wrong" role="alert">${problem}.</p>` : html`<${Verdict}
          known=${known} zone=${zone} />`}
        <button type="submit" class="primary">Generate</button>
      </form>
    <//>
    <${Card} title="Made on this page" id="made"
      aside=${calls.list.length > 0 && plural(calls.list.length, "call")}>
      ${
        calls.list.length === 0
          ? html`<${Empty} title="Nothing yet">What you generate here appears here. It is in the
            history too, without the prompt: the gateway keeps none.<//>`
          : html`<ol class="mades">${calls.list.map((call) => html`<${Made} key=${call.name}
            call=${call} open=${open} />`)}</ol>`
      }
    <//>
  </div>`;
}
