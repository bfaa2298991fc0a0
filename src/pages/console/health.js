// The state of what the gateway depends on, one line each: its name, its state, and why.

import { html } from "../shared/lib.js";
import { credits, micros } from "../shared/credits.js";
import { Badge, Card, Known, Time, count, plural } from "../shared/elements.js";

const Line = ({ name, tone, state, children }) => html`
  <li><span class="what">${name}</span><${Badge} tone=${tone}>${state}<//>
    ${children && html`<span class="soft small">${children}</span>`}</li>`;

function Gateway({ report }) {
  const wrong = Object.values(report.checks).filter((check) => check !== "ok");
  return html`<${Line} name="This gateway" tone=${report.ready ? "good" : "bad"}
    state=${report.ready ? "Ready" : "Not ready"}>${wrong.join("; ")}<//>`;
}

function Ledger({ report }) {
  const { ledger_store: troubles = [], closed_teams: closed = [] } = report;
  const told = [
    ...(report.checks.ledger === "ok" ? [] : [report.checks.ledger]),
    ...troubles,
    ...(closed.length > 0 ? [`writes of ${closed.join(", ")} are lost: their budgets are closed`] : []),
  ];
  return html`<${Line} name="Ledger" tone=${told.length > 0 ? "bad" : "good"}
    state=${told.length > 0 ? "Look" : "Fine"}>${told.join("; ")}<//>`;
}

const Upstream = ({ report }) =>
  html`<${Line} name="Firemoon" tone=${report.upstream === "ok" ? "good" : "bad"}
    state=${report.upstream === "ok" ? "Answers" : "Refused for now"}>${
      report.upstream === "ok" ? null : "The breaker is open: it failed too often"
    }<//>`;

function Issuers({ report }) {
  const issuers = Object.entries(report.issuers ?? {});
  if (issuers.length === 0) return null;
  const wrong = issuers.filter(([, state]) => state !== "ok");
  return html`<${Line} name="Issuers of tokens" tone=${wrong.length > 0 ? "warn" : "good"}
    state=${wrong.length > 0 ? `${wrong.length} of ${issuers.length} wrong` : "Fine"}>${wrong
      .map(([name, state]) => `${name}: ${state}`)
      .join("; ")}<//>`;
}

function SharedKeys({ keys }) {
  const healthy = keys.filter((key) => key.healthy && !key.resting).length;
  const tone = healthy === keys.length ? "good" : healthy > 0 ? "warn" : "bad";
  const resting = keys.filter((key) => key.resting);
  return html`<${Line} name="Shared keys" tone=${tone} state=${`${healthy} of ${keys.length} used`}>${
    resting.length > 0 &&
    html`${resting.map(({ name, resting: rest }) => html`<span key=${name}>${name} rests until <${Time}
      at=${rest.until} /> </span>`)}`
  }<//>`;
}

function Queue({ queue }) {
  const waiting = queue.teams.reduce((all, team) => all + team.waiting, 0);
  const running = queue.teams.reduce((all, team) => all + team.running, 0);
  return html`<${Line} name="Queue" tone=${waiting > 0 ? "info" : "good"}
    state=${waiting > 0 ? `${plural(waiting, "call")} waiting` : "Empty"}>${count(running)} running<//>`;
}

function Balances({ balances }) {
  if (balances.length === 0)
    return html`<${Line} name="Account balance" state="Not read">upstream.reconcile is not
      configured, or it was not read yet<//>`;
  return balances.map(({ key, balance, drift, since, at }) => {
    const [left, off] = [micros(balance), micros(drift)];
    return html`<${Line} key=${key} name=${`Balance of ${key}`} tone=${off === 0n ? "good" : "warn"}
      state=${`${credits(left)} credits`}>${
        off === 0n ? "agrees with the ledger" : `drift ${credits(off)}`
      } since <${Time} at=${since} />, read <${Time} at=${at} /><//>`;
  });
}

export function Health({ session }) {
  const [ready, keys, queue, month] = ["ready", "sharedKeys", "queue", "month"].map((name) =>
    session.known(name),
  );
  return html`<${Card} title="Health" id="health" aside="as this replica knows it">
    <${Known} known=${ready} what="The health" lines=${6}>${(report) => html`<ul class="health">
      <${Gateway} report=${report} />
      <${Upstream} report=${report} />
      ${keys.data && html`<${SharedKeys} keys=${keys.data.keys} />`}
      <${Ledger} report=${report} />
      <${Issuers} report=${report} />
      ${queue.data && html`<${Queue} queue=${queue.data} />`}
      ${month.data && html`<${Balances} balances=${month.data.balances} />`}
    </ul>`}<//>
  <//>`;
}
