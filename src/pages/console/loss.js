// A team whose writes the ledger's store has lost: what happened, and what accepting the loss
// means.

import { html } from "../shared/lib.js";
import { Card, Notice, count } from "../shared/elements.js";

const NAMED_MAX = 5;
const Name = ({ text }) => html`<strong class="name">${text}</strong>`;

/** Opens the budgets of a team that are closed because of a loss. */
export const acceptLoss = (team) => ({
  title: "Accept what is left?",
  confirm: "Accept the loss",
  danger: true,
  happens: () => html`<p>The budgets of team <${Name} text=${team} /> open on every replica, and
    what is left counts: what no replica has restored by now may be spent a second time.</p>
    <p>Compare it with the account's bill first. It cannot be taken back. Other teams that are closed
    stay closed.</p>`,
  async act(_, api) {
    const { body } = await api.post(`admin/v1/teams/${team}/accept-loss`, {});
    return {
      said: body.accepted
        ? html`What is left of team <${Name} text=${team} /> is accepted: its budgets are open.`
        : html`The budgets of team <${Name} text=${team} /> were open: nothing changed.`,
    };
  },
});

/** Notice on the team's page in place of its budgets and limits, which are unknown. */
export const Loss = ({ team, session }) => html`<${Card} title="What was lost" id="loss"
  class="loss">
  <p>The ledger's store knows less of the team than a replica has seen in it. It was flushed, an
    older copy was loaded, a replica took over without the last writes, or some of the team's keys
    were evicted or deleted.</p>
  <p>The team's budgets closed at once. Calls in flight run on, and are settled when the budgets
    open. What is used and left cannot be shown before.</p>
  <p>Each replica restores what it knows: its own calls of the last minutes with their rows, and the
    highest count seen in each limited window, top-ups included. Do not restart replicas meanwhile:
    what only they know would be gone.</p>
  <h3>When the budgets open</h3>
  <p>With <code>ledger.on_loss: rebuild</code> by themselves, after a third
    of <code>ledger.reservation_ttl</code>. With <code>hold</code> when an operator accepts what is
    left, having compared it with the account's bill; half of that time is enough for every replica
    to restore what it knows.</p>
  ${
    session.mayChange
      ? html`<div class="acts"><button type="button" class="danger-line"
        onClick=${() => session.ask(acceptLoss(team.team))}>Accept what is left</button></div>`
      : html`<p class="soft">A token of role write may accept it here, or
        with <code>moongate teams accept-loss ${team.team}</code>.</p>`
  }
<//>`;

/** The teams whose budgets are closed, as this replica knows them. */
export const closedTeams = (session) => session.known("ready").data?.closed_teams ?? [];

/** Whether closed teams explain this failure: the ledger does not answer for them. */
export const explains = (session, failure) =>
  failure?.code === "ledger_unavailable" &&
  session.known("ready").data?.checks.ledger === "ok" &&
  closedTeams(session).length > 0;

/** Notice above every view, with a link to the teams. */
export function Closed({ teams }) {
  const links = teams.slice(0, NAMED_MAX).map(
    (team, place) => html`${place > 0 && ", "}<a class="name" key=${team}
      href=${`#team/${team}`}>${team}</a>`,
  );
  const more = teams.length - NAMED_MAX;
  return html`<${Notice} tone="bad" title="The ledger's store has lost writes"><p>Every call
    of ${links}${more > 0 && ` and ${count(more)} more`} is refused until the budgets open. Sums
    over all teams cannot be shown before.</p><//>`;
}
