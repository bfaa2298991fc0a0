// How a program calls the gateway, with the base URL that this page came from. The credential is
// not written into them.

import { html, useState } from "../shared/lib.js";
import { base } from "../shared/api.js";
import { Card, Copy } from "../shared/elements.js";

const quoted = (text) => JSON.stringify(text);

/** The programs, by name. */
export function snippets(address, model) {
  return {
    curl: `curl -s ${address}api/v1/${model} \\
  -H "Authorization: Bearer $MOONGATE_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"prompt": "a lighthouse at dusk"}'`,
    "JavaScript client": `// npm install @firemoon/ai-provider ai
import { createFiremoon } from "@firemoon/ai-provider";
import { generateImage } from "ai";

const firemoon = createFiremoon({
  apiKey: process.env.MOONGATE_KEY,
  baseURL: ${quoted(`${address}api`)},
});
const { images } = await generateImage({
  model: firemoon.image(${quoted(model)}),
  prompt: "a lighthouse at dusk",
});`,
    fetch: `const answer = await fetch(${quoted(`${address}api/v1/${model}`)}, {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.MOONGATE_KEY}\`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify({ prompt: "a lighthouse at dusk" }),
});
const body = await answer.json();
if (!answer.ok) throw new Error(\`\${body.code}: \${body.message}\`);
console.log(body.images.map((image) => image.url), answer.headers.get("x-credits-cost"));`,
  };
}

export function Snippets({ models }) {
  const [name, choose] = useState("curl");
  const [model, setModel] = useState(
    models.includes("flux/dev") ? "flux/dev" : (models[0] ?? "flux/dev"),
  );
  const all = snippets(base(), model);
  const aside = html`<select aria-label="Model in the snippet" value=${model}
    onChange=${(event) => setModel(event.target.value)}>
    ${models.map((id) => html`<option key=${id} value=${id}>${id}</option>`)}</select>`;
  return html`<${Card} title="Call it from a program" id="snippets"
    aside=${models.length > 0 && aside}>
    <p>Point any Firemoon client at <code>${base()}api</code> and use your team's credential. Paths,
      bodies and answers are Firemoon's own.</p>
    <div class="segments" role="group" aria-label="Which program">
      ${Object.keys(all).map((known) => html`<button type="button" key=${known}
        aria-pressed=${known === name} onClick=${() => choose(known)}>${known}</button>`)}
    </div>
    <div class="code"><pre tabindex="0" role="region" aria-label=${`${name} snippet`}>
      <code>${all[name]}</code></pre><${Copy} text=${all[name]} what=${`the ${name} snippet`} />
      </div>
    <p class="soft">The credential comes from the variable <code>MOONGATE_KEY</code> of your
      environment. All of the API is described at <a
      href="gateway/openapi.json">gateway/openapi.json</a>.</p>
  <//>`;
}
