// The team page: who is signed in, which view is shown, and what every view stands on.

import { html, render, useEffect, useReducer, useRef, useState } from "../shared/lib.js";
import { Api, Failure } from "../shared/api.js";
import { Budget } from "../shared/budget.js";
import { Loading, Time } from "../shared/elements.js";
import { Refused } from "../shared/refused.js";
import { Trouble } from "../shared/trouble.js";
import { Generate } from "./generate.js";
import { History } from "./history.js";
import { Limits } from "./limits.js";
import { Open } from "./open.js";
import { Session } from "./session.js";
import { SignIn } from "./signin.js";
import { Snippets } from "./snippets.js";
import { Spend } from "./spend.js";
import { endsSession, forbidden, reason } from "./words.js";

const NO_CREDENTIAL = {
  error: "This is no credential",
  message: "A credential is one word, without spaces or special letters",
};
const VIEWS = { overview: "Overview", generate: "Generate", history: "History", code: "Code" };

/** A credential in the fragment signs in, and is gone from the address before anything else happens. */
function fromAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const credential = fragment.get("credential");
  if (credential !== null) history.replaceState(null, "", location.pathname + location.search);
  return credential;
}

const viewed = () =>
  Object.hasOwn(VIEWS, location.hash.slice(1)) ? location.hash.slice(1) : "overview";

function View({ name, session }) {
  const { me, month, lastMonth, calls, refused, open } = session;
  const zone = me.data.timeZone;
  const requests = open.data?.requests ?? [];
  switch (name) {
    case "generate":
      return html`<${Generate} session=${session} models=${me.data.models} open=${requests}
        zone=${zone} tick=${me.data.at} />`;
    case "history":
      return html`<${History} known=${calls} models=${me.data.models} view=${session.historyView}
        onView=${(view) => session.viewHistory(view)} answers=${session.answers}
        kept=${session.kept} zone=${zone} />
        <${Refused} known=${refused} zone=${zone} reason=${reason} />
        <${Open} known=${open} zone=${zone} answers=${session.answers} kept=${session.kept}
          fetchAnswer=${(id) => session.fetchAnswer(id)} />`;
    case "code":
      return html`<${Snippets} models=${me.data.models} />`;
    default:
      return html`<div class="overview">
        <${Budget} me=${me.data} usage=${month.data}
          calls=${session.historyView.page === 0 && !session.historyView.model ? calls.data : null}
          />
        <${Limits} me=${me.data} />
        <${Spend} month=${month} lastMonth=${lastMonth} />
        <${Open} known=${open} zone=${zone} answers=${session.answers} kept=${session.kept}
          fetchAnswer=${(id) => session.fetchAnswer(id)} />
      </div>`;
  }
}

function Page({ session, onSignOut }) {
  const [view, setView] = useState(viewed());
  const heading = useRef();
  const { me } = session;
  useEffect(() => {
    const change = () => {
      setView(viewed());
      heading.current?.focus();
      scrollTo(0, 0);
    };
    addEventListener("hashchange", change);
    heading.current?.focus();
    return () => removeEventListener("hashchange", change);
  }, []);
  useEffect(() => {
    document.title = `${VIEWS[view]} · ${me.data.team} · Moongate`;
    session.watch(view);
  }, [view]);
  const { team, user, credential, at, timeZone } = me.data;
  // A key that is a user of its own is known by its name.
  const who = (user === `key:${credential.id}` && credential.name) || user;
  return html`
    <a class="skip" href="#content" onClick=${(event) => {
      event.preventDefault();
      heading.current.focus();
    }}>Skip to the content</a>
    <header class="top">
      <div class="brand"><img src="gateway/ui/shared/moon.svg" alt="" width="32" height="32" />
        <span>Moongate</span></div>
      <nav aria-label="Views"><ul>${Object.entries(VIEWS).map(
        ([name, text]) => html`
        <li key=${name}><a href=${`#${name}`}
          aria-current=${name === view ? "page" : null}>${text}</a></li>`,
      )}</ul></nav>
      <div class="who"><span><strong class="name">${team}</strong><small
        class="name">${who}</small></span>
        <button type="button" class="quiet" onClick=${onSignOut}>Sign out</button></div>
    </header>
    <main id="content">
      <h1 tabindex="-1" ref=${heading}>${VIEWS[view]}</h1>
      <${Trouble} failure=${session.feed.failure} since=${me.since} forbidden=${forbidden} />
      <${View} name=${view} session=${session} />
    </main>
    <footer class="soft small">Signed in
      with ${credential.kind === "key" ? "the gateway key" : "a token of"} <span
      class="name">${credential.name ? `${credential.name} (${credential.id})` : credential.id}</span>.
      As of <${Time} at=${at} zone=${timeZone} precise=${true} />; the team's days and months begin
        in ${timeZone}.</footer>`;
}

function App({ credential }) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  const [session, setSession] = useState(null);
  const [state, setState] = useState({ reason: null, failure: null, busy: Boolean(credential) });
  const end = (reason) => {
    setSession((open) => {
      open?.stop();
      return null;
    });
    document.title = "Moongate";
    setState({ reason, failure: null, busy: false });
  };
  const signIn = async (given, team = "") => {
    setState({ reason: null, failure: null, busy: true });
    const api = new Api(given, team);
    try {
      if (!/^[\x21-\x7e]+$/.test(given)) throw new Failure(401, NO_CREDENTIAL);
      const me = await api.get("gateway/v1/me");
      const opened = new Session(api, me, () => {
        const reason = opened.feed.failure && endsSession(opened.feed.failure);
        return reason ? end(reason) : redraw();
      });
      setSession(opened);
      setState({ reason: null, failure: null, busy: false });
    } catch (failure) {
      setState({ reason: null, failure, busy: false });
    }
  };
  useEffect(() => {
    if (credential) signIn(credential);
    // A link that signs in may also be opened where the page is open already.
    const change = () => {
      const given = fromAddress();
      if (given === null) return;
      end(null);
      signIn(given);
    };
    addEventListener("hashchange", change);
    return () => removeEventListener("hashchange", change);
  }, []);
  if (session)
    return html`<${Page} session=${session} onSignOut=${() => end("You are signed out.")} />`;
  if (credential && state.busy)
    return html`<main class="signin"><${Loading} what="your team" /></main>`;
  return html`<${SignIn} ...${state} onSignIn=${signIn} />`;
}

const credential = fromAddress();
const place = document.getElementById("page");
place.textContent = "";
render(html`<${App} credential=${credential} />`, place);
