// The frame of both pages: signing in, by hand or by a link, and what is shown before and after.

import { html, render, useEffect, useReducer, useState } from "./lib.js";
import { Failure } from "./api.js";
import { Loading } from "./elements.js";

/** The characters of a secret, which is sent in a header. */
const ONE_WORD = /^[\x21-\x7e]+$/;

/**
 * Signs in with a secret from the fragment, and removes it from the address before anything else.
 */
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
    // Reads the fragment again: a link that signs in may be opened where the page is open already.
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
 * Shows a page. `secret` is the secret's name in a link's fragment. `ask` presents a secret to the
 * gateway and gets a function to call on changes: it throws a Failure, or returns what begins the
 * session. `endsSession` says why a failure ends it, `unreadable` is the message for a text that
 * can be no secret, and `loads` names what a link waits for.
 */
export function start(page) {
  const linked = fromAddress(page.secret);
  const place = document.getElementById("page");
  place.textContent = "";
  render(html`<${App} page=${page} linked=${linked} />`, place);
}
