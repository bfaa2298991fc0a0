// What both pages begin with: signing in, by hand or by a link, and what is shown until then and afterwards.

import { html, render, useEffect, useReducer, useState } from "./lib.js";
import { Failure } from "./api.js";
import { Loading } from "./elements.js";

/** What a secret may be made of: it is sent in a header. */
const ONE_WORD = /^[\x21-\x7e]+$/;

/** A secret in the fragment signs in, and is gone from the address before anything else happens. */
function fromAddress(name) {
  const secret = new URLSearchParams(location.hash.slice(1)).get(name);
  if (secret !== null) history.replaceState(null, "", location.pathname + location.search);
  return secret;
}

function App({ page, linked }) {
  const { ask, endsSession, title, loads, unreadable, Page, SignIn } = page;
  const [, redraw] = useReducer((count) => count + 1, 0);
  const [session, setSession] = useState(null);
  const [state, setState] = useState({ reason: null, failure: null, busy: Boolean(linked) });
  const end = (reason) => {
    setSession((open) => {
      open?.stop();
      return null;
    });
    document.title = title;
    setState({ reason, failure: null, busy: false });
  };
  const signIn = async (secret, ...more) => {
    setState({ reason: null, failure: null, busy: true });
    try {
      if (!ONE_WORD.test(secret)) throw new Failure(401, unreadable);
      const begin = await ask(secret, ...more);
      const opened = begin(() => {
        const reason = opened.failure && endsSession(opened.failure);
        return reason ? end(reason) : redraw();
      });
      setSession(opened);
      setState({ reason: null, failure: null, busy: false });
    } catch (failure) {
      setState({ reason: null, failure, busy: false });
    }
  };
  useEffect(() => {
    if (linked) signIn(linked);
    // A link that signs in may also be opened where the page is open already.
    const change = () => {
      const secret = fromAddress(page.secret);
      if (secret === null) return;
      end(null);
      signIn(secret);
    };
    addEventListener("hashchange", change);
    return () => removeEventListener("hashchange", change);
  }, []);
  if (session)
    return html`<${Page} session=${session} onSignOut=${() => end("You are signed out.")} />`;
  if (linked && state.busy)
    return html`<main class="signin"><${Loading} what=${loads} /></main>`;
  return html`<${SignIn} ...${state} onSignIn=${signIn} />`;
}

/**
 * Shows a page. `secret` is the secret's name in a link's fragment. `ask` takes a secret to the gateway: it throws a
 * Failure, or gives what begins the session and is told what to call when there is news. `endsSession` says why a
 * failure ends it, `unreadable` what is said of what can be no secret, `loads` what a link waits for.
 */
export function start(page) {
  const linked = fromAddress(page.secret);
  const place = document.getElementById("page");
  place.textContent = "";
  render(html`<${App} page=${page} linked=${linked} />`, place);
}
