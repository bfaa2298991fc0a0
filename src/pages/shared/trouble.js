// The current failure in words.

import { html } from "./lib.js";
import { Notice, Time, sentence } from "./elements.js";

/**
 * Notice above everything else; data from before, `since`, stays on the page below it. `forbidden`
 * says what a 403 means here.
 */
export function Trouble({ failure, since, forbidden }) {
  if (!failure) return null;
  const older = since
    ? html`<p>What you see is from <${Time} at=${since} precise=${true} />.</p>`
    : null;
  if (failure.status === 429)
    return html`<${Notice} tone="info">The page asks less often for a
      moment: ${sentence(failure.message)}<//>`;
  if (failure.status === 0) {
    const offline = navigator.onLine === false;
    return html`<${Notice} tone="warn"
      title=${offline ? "You are offline" : "The gateway does not answer"}><p>It is tried again by
      itself.</p>${older}<//>`;
  }
  if (failure.status === 503) {
    const title =
      failure.code === "draining"
        ? "The gateway is restarting"
        : "The gateway is unavailable for the moment";
    return html`<${Notice} tone="warn" title=${title}><p>${sentence(failure.message)} It is tried again by
      itself.</p>${older}<//>`;
  }
  if (failure.status === 403 && forbidden) {
    const title = forbidden(failure);
    return html`<${Notice} tone="bad" title=${title}><p>${sentence(failure.message)}</p>${older}<//>`;
  }
  return html`<${Notice} tone="bad" title=${failure.title}><p>${sentence(failure.message)}</p>${older}<//>`;
}
