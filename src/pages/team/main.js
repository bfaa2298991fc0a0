// The team page: choosing a view, and the data that all views share.

import { html, useEffect, useRef, useState } from "../shared/lib.js";
import { Api } from "../shared/api.js";
import { start } from "../shared/app.js";
import { Budget } from "../shared/budget.js";
import { Time } from "../shared/elements.js";
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
  // A key that is a user of its own is shown by its name.
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
      <${Trouble} failure=${session.failure} since=${me.since} forbidden=${forbidden} />
      <${View} name=${view} session=${session} />
    </main>
    <footer class="soft small">Signed in
      with ${credential.kind === "key" ? "the gateway key" : "a token of"} <span
      class="name">${credential.name ? `${credential.name} (${credential.id})` : credential.id}</span>.
      As of <${Time} at=${at} zone=${timeZone} precise=${true} />; the team's days and months begin
        in ${timeZone}.</footer>`;
}

/**
 * Begins a session with a credential that the gateway knows, in the named team where it has
 * several.
 */
async function ask(credential, team = "") {
  const api = new Api(credential, team);
  const me = await api.get("gateway/v1/me");
  return (onChange) => new Session(api, me, onChange);
}

start({
  secret: "credential",
  title: "Moongate",
  loads: "your team",
  unreadable: NO_CREDENTIAL,
  ask,
  endsSession,
  Page,
  SignIn,
});
