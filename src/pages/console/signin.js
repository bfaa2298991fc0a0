// Signing in: with an operator's token, which is kept in memory and nowhere else.

import { html, useEffect, useRef, useState } from "../shared/lib.js";
import { Notice, sentence } from "../shared/elements.js";

export function SignIn({ reason, failure, onSignIn, busy }) {
  const [token, setToken] = useState("");
  const field = useRef();
  useEffect(() => field.current?.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    if (!busy) onSignIn(token.trim());
  };
  return html`<main class="signin">
    <form class="card" onSubmit=${submit} aria-labelledby="signin">
      <img class="moon" src="console/shared/moon.svg" alt="" width="56" height="56" />
      <h1 id="signin">Moongate console</h1>
      <p class="soft">Every team, what it spends, and who may call.</p>
      ${reason && html`<${Notice} tone="warn">${reason}<//>`}
      ${failure && html`<${Notice} tone="bad" title=${failure.title}>${sentence(failure.message)}<//>`}
      <label for="token">Operator's token</label>
      <input id="token" ref=${field} type="password" autocomplete="off" spellcheck="false"
        autocapitalize="none" required value=${token} aria-describedby="kept"
        onInput=${(event) => setToken(event.target.value)} />
      <p id="kept" class="soft small">It stays in the memory of this page: nothing is stored, and it
        is gone when you close or reload it. A token of role read sees everything and changes
        nothing.</p>
      <button type="submit" class="primary"
        aria-disabled=${busy}>${busy ? "Signing in…" : "Sign in"}</button>
    </form>
  </main>`;
}
