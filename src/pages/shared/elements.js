// Small elements that every page needs. Texts in them are escaped: nothing here writes HTML.

import { html, useEffect, useRef, useState } from "./lib.js";
import { beside, exact, moment, span } from "./times.js";

/** A notice about the page or a part of it: `tone` is info, good, warn or bad. */
export const Notice = ({ tone = "info", title, children, live = true }) => html`
  <div class="notice ${tone}" role=${live ? (tone === "bad" ? "alert" : "status") : null}>
    ${title && html`<strong>${title}</strong>`}<div>${children}</div>
  </div>`;

export const Card = ({ title, aside, children, class: name = "", id }) => html`
  <section class="card ${name}" aria-labelledby=${id}>
    ${title && html`<header><h2 id=${id}>${title}</h2>${aside && html`<div
      class="aside">${aside}</div>`}</header>`}
    ${children}
  </section>`;

/** Placeholder for a part without content. */
export const Empty = ({ title, children }) =>
  html`<div class="empty"><p
    class="lead">${title}</p>${children && html`<p>${children}</p>`}</div>`;

export const Loading = ({ what, lines = 3 }) => html`
  <div class="loading" role="status"><span class="sr">Loading ${what}…</span>
    ${Array.from({ length: lines }, (_, line) => html`<span key=${line} class="bone"
      aria-hidden="true"></span>`)}
  </div>`;

/** A part that failed to load, where nothing older can be shown. */
export const Failed = ({ what, failure }) => html`
  <div class="empty bad" role="status"><p class="lead">${what} cannot be shown now</p>
    <p>${sentence(failure.message)} It is tried again by itself.</p></div>`;

/** The data as `children` shows it, or a placeholder. */
export function Known({ known, what, lines, children }) {
  if (known.data) return children(known.data);
  if (known.failure) return html`<${Failed} what=${what} failure=${known.failure} />`;
  return html`<${Loading} what=${what.toLowerCase()} lines=${lines} />`;
}

/** A bar of parts, each a share of the whole. All that it shows is also in the text beside it. */
export const Bar = ({ parts, tone = "" }) => html`
  <div class="bar ${tone}" aria-hidden="true">
    ${parts.map(({ share, kind }) => html`<span key=${kind} class=${kind}
      style=${{ width: `${Math.min(100, share * 100)}%` }}></span>`)}
  </div>`;

export const Badge = ({ tone = "", children }) =>
  html`<span class="badge ${tone}">${children}</span>`;

/** A moment in the reader's zone, with the team's beside it where that differs. */
export function Time({ at, zone, precise = false }) {
  const theirs = beside(at, zone);
  return html`<time datetime=${new Date(at).toISOString()}
    title=${exact(at)}>${precise ? exact(at) : moment(at)}${
    theirs && [" ", html`<small class="zone">${theirs}</small>`]
  }</time>`;
}

/** Counts down or up each second: `in 3 min`. */
export function Ticking({ from, to }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return html`<span class="numbers">${span(to ? new Date(to) - Date.now() : Date.now() - new Date(from))}</span>`;
}

/** Copies a text to the clipboard, or selects it where the browser has no clipboard. */
export function Copy({ text, what }) {
  const [done, setDone] = useState(false);
  const timer = useRef();
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone(true);
      timer.current = setTimeout(() => setDone(false), 2000);
    } catch {
      setDone(false);
    }
  };
  if (!navigator.clipboard) return null;
  return html`<button type="button" class="quiet" onClick=${copy}>${done ? "Copied" : "Copy"}<span
    class="sr"> ${what}</span></button>`;
}

/** A message as a sentence, with a full stop, which the gateway's messages lack. */
export const sentence = (text) => (/[.!?…]$/.test(text) ? text : `${text}.`);

/** A number for people: `12,345`. */
export const count = (number) => Number(number).toLocaleString("en-GB");
export const plural = (number, one, more = `${one}s`) =>
  `${count(number)} ${number === 1 ? one : more}`;
