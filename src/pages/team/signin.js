// Signing in: with the team's credential, which is kept in memory and nowhere else.

import { html, useEffect, useRef, useState } from "../shared/lib.js";
import { Notice, sentence } from "../shared/elements.js";

export function SignIn({ reason, failure, onSignIn, busy }) {
  const [credential, setCredential] = useState("");
  const [team, setTeam] = useState("");
  const field = useRef();
  const asksTeam = failure?.code === "team_unknown";
  useEffect(() => field.current?.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    if (!busy) onSignIn(credential.trim(), team.trim());
  };
  return html`<main class="signin">
    <form class="card" onSubmit=${submit} aria-labelledby="signin">
      <img class="moon" src="gateway/ui/shared/moon.svg" alt="" width="56" height="56" />
      <h1 id="signin">Moongate</h1>
      <p class="soft">What your team may spend, what it spent, and what it made.</p>
      ${reason && html`<${Notice} tone="warn">${reason}<//>`}
      ${failure && html`<${Notice} tone="bad" title=${failure.title}>${sentence(failure.message)}<//>`}
      <label for="credential">Your team's credential</label>
      <input id="credential" ref=${field} type="password" autocomplete="off" spellcheck="false"
        autocapitalize="none" required placeholder="mgk_… or a token"
        value=${credential} onInput=${(event) => setCredential(event.target.value)} aria-describedby="kept" />
      ${
        asksTeam &&
        html`<label for="team">Which of your teams</label>
        <input id="team" type="text" autocomplete="off" spellcheck="false" autocapitalize="none"
          value=${team} onInput=${(event) => setTeam(event.target.value)} />`
      }
      <p id="kept" class="soft small">It stays in the memory of this page: nothing is stored, and it
        is gone when you close or reload it.</p>
      <button type="submit" class="primary"
        aria-disabled=${busy}>${busy ? "Signing in…" : "Sign in"}</button>
    </form>
  </main>`;
}
