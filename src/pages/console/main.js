// The console: choosing a view, notices above every view, and asking before changes.

import { html, useEffect, useRef, useState } from "../shared/lib.js";
import { start } from "../shared/app.js";
import { Notice } from "../shared/elements.js";
import { Trouble } from "../shared/trouble.js";
import { Changes } from "./changes.js";
import { Dialog } from "./dialog.js";
import { Find } from "./find.js";
import { Keys } from "./keys.js";
import { Closed, closedTeams, explains } from "./loss.js";
import { Overview } from "./overview.js";
import { Queue } from "./queue.js";
import { Session, operatorApi } from "./session.js";
import { SharedKeys } from "./shared_keys.js";
import { SignIn } from "./signin.js";
import { Team } from "./team.js";
import { Teams } from "./teams.js";
import { endsSession } from "./words.js";

const NO_TOKEN = {
  error: "This is no token",
  message: "A token is one word, without spaces or special letters",
};
const VIEWS = {
  overview: ["Overview", Overview],
  teams: ["Teams", Teams],
  keys: ["Keys", Keys],
  queue: ["Queue", Queue],
  shared: ["Shared keys", SharedKeys],
  changes: ["Changes", Changes],
  call: ["Find a call", Find],
};
const TEAM = /^team\/([A-Za-z0-9][A-Za-z0-9._-]{0,63})$/;
const CALL = /^call\/(.+)$/;

/** A part of the address as it was before a browser encoded it. */
function plain(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The view, team or call that the address names. */
function place() {
  const name = location.hash.slice(1);
  const team = TEAM.exec(name)?.[1];
  if (team) return { view: "team", team, title: team };
  const call = CALL.exec(name)?.[1];
  if (call) return { view: "call", sought: plain(call), title: VIEWS.call[0] };
  const view = Object.hasOwn(VIEWS, name) ? name : "overview";
  return { view, title: VIEWS[view][0] };
}

function Frame({ session, at, onSignOut, heading, children }) {
  const { name, role } = session.who;
  const open = at.view === "team" ? "teams" : at.view;
  const toContent = (event) => {
    event.preventDefault();
    heading.current.focus();
  };
  return html`
    <a class="skip" href="#content" onClick=${toContent}>Skip to the content</a>
    <header class="top">
      <div class="brand"><img src="console/shared/moon.svg" alt="" width="32" height="32" />
        <span>Moongate</span></div>
      <nav aria-label="Views"><ul>${Object.entries(VIEWS).map(
        ([view, [text]]) => html`<li key=${view}><a href=${`#${view}`}
          aria-current=${view === open ? "page" : null}>${text}</a></li>`,
      )}</ul></nav>
      <div class="who"><span><strong class="name">${name}</strong><small>${
        role === "write" ? "operator" : "looks only"
      }</small></span>
        <button type="button" class="quiet" onClick=${onSignOut}>Sign out</button></div>
    </header>
    <main id="content" class="console">
      ${children}
    </main>`;
}

/** Notices above every view: what is wrong, and what was just done. */
function Above({ session, team }) {
  const closed = closedTeams(session);
  const failure = explains(session, session.failure) ? null : session.failure;
  const checks = session.known("ready").data?.checks;
  const stops = checks && checks.running !== "ok";
  return html`
    <${Trouble} failure=${failure} since=${session.since} />
    ${closed.length > 0 && !closed.includes(team) && html`<${Closed} teams=${closed} />`}
    ${stops && !session.failure && html`<${Notice} tone="warn" title="This gateway is stopping">It
      finishes the calls that run and takes no new ones. Others take its place, or it comes
      back.<//>`}
    <div role="status" class="done">${
      session.done &&
      html`<div class="notice good"><strong>Done</strong><div>${session.done}</div>
        <button type="button" class="quiet" onClick=${() => session.forget()}>Close<span
          class="sr"> this message</span></button></div>`
    }</div>`;
}

function Page({ session, onSignOut }) {
  const [at, setAt] = useState(place());
  const heading = useRef();
  useEffect(() => {
    const change = () => {
      const next = place();
      session.done = null;
      session.show(next);
      setAt(next);
      heading.current?.focus();
      scrollTo(0, 0);
    };
    addEventListener("hashchange", change);
    heading.current?.focus();
    return () => removeEventListener("hashchange", change);
  }, []);
  useEffect(() => {
    document.title = `${at.title} · Moongate console`;
    // A narrow window shows the views in a row that scrolls.
    document.querySelector("nav [aria-current]").scrollIntoView({ block: "nearest" });
  }, [at.title]);
  const View = at.view === "team" ? Team : VIEWS[at.view][1];
  return html`<${Frame} session=${session} at=${at} onSignOut=${onSignOut} heading=${heading}>
    ${at.view === "team" && html`<p class="back"><a href="#teams">All teams</a></p>`}
    <h1 tabindex="-1" ref=${heading} class="name">${at.title}</h1>
    <${Above} session=${session} team=${at.team} />
    <${View} key=${`${at.title}/${at.sought}`} session=${session} team=${at.team}
      sought=${at.sought} />
    ${session.dialog && html`<${Dialog} asked=${session.dialog} session=${session} />`}
  <//>`;
}

/** Begins a session with a token that the gateway knows. */
async function ask(token) {
  const api = operatorApi(token);
  const who = await api.get("admin/v1/whoami");
  return (onChange) => {
    const session = new Session(api, who, onChange);
    session.show(place());
    return session;
  };
}

start({
  secret: "token",
  title: "Moongate console",
  loads: "the console",
  unreadable: NO_TOKEN,
  ask,
  endsSession,
  Page,
  SignIn,
});
