// Pictures and videos, loaded from the address in an answer: never through the gateway.

import { html, useState } from "../shared/lib.js";

/** The media of an answer that can be shown: an address of anything else is left out. */
export function mediaOf(answer) {
  const listed = (list) => (Array.isArray(list) ? list : []);
  const images = listed(answer?.images).map((image) => ({ ...image, kind: "image" }));
  const videos = listed(answer?.videos).map((video) => ({ ...video, kind: "video" }));
  return [...images, ...videos].filter(({ url }) => typeof url === "string" && isMedia(url));
}

function isMedia(url) {
  if (/^data:(image|video)\//.test(url)) return true;
  try {
    return ["https:", "http:"].includes(new URL(url).protocol);
  } catch {
    return false;
  }
}

function One({ item, alt, small }) {
  const [gone, setGone] = useState(false);
  if (gone)
    return html`<span class="gone">${small ? "gone" : "The media address no longer has it"}</span>`;
  const fail = () => setGone(true);
  if (item.kind === "video") {
    return html`<video src=${item.url} muted playsinline preload="metadata" controls=${!small}
      aria-label=${alt} onError=${fail}></video>`;
  }
  return html`<img src=${item.url} alt=${alt} loading="lazy" decoding="async"
    referrerpolicy="no-referrer" onError=${fail} />`;
}

export function Thumbnail({ answer, what }) {
  const [first, ...more] = mediaOf(answer);
  if (!first) return null;
  return html`<span class="thumb"><${One} item=${first} alt=${`What came of ${what}`} small=${true}
    />${more.length > 0 && html`<b>+${more.length}</b>`}</span>`;
}

export function Gallery({ answer, what }) {
  const items = mediaOf(answer);
  if (items.length === 0) return html`<p class="soft">The answer names no picture.</p>`;
  return html`<div class="gallery">${items.map(
    (item, place) => html`
    <figure key=${item.url}>
      <${One} item=${item} alt=${`${what}, ${place + 1} of ${items.length}`} />
      <figcaption>${item.width && item.height && html`<span
        class="soft">${item.width} × ${item.height}</span>`}
        ${item.url.startsWith("data:") ? "" : html`<a href=${item.url} target="_blank"
          rel="noreferrer noopener">Open<span class="sr"> picture ${place + 1} in a new tab</span>
          </a>`}</figcaption>
    </figure>`,
  )}</div>`;
}
