// Actions of an operator on a team. Each asks first, and says exactly what will happen.

import { html } from "../shared/lib.js";
import { credits, micros } from "../shared/credits.js";

const EVERYWHERE = "Every replica does so within two seconds.";
const Name = ({ text }) => html`<strong class="name">${text}</strong>`;
const whose = (team, user) =>
  user
    ? html`user <${Name} text=${user} /> of team <${Name} text=${team} />`
    : html`team <${Name} text=${team} />`;

/** Suspends a team, or one of its users. */
export const suspend = (team, user = null) => ({
  title: user ? "Suspend a user?" : "Suspend the whole team?",
  confirm: user ? "Suspend the user" : "Suspend the team",
  danger: true,
  happens: () => html`<p>Every new call of ${whose(team, user)} is refused, with any
    credential. ${EVERYWHERE}</p><p>Calls that run already are finished and paid. Keys, limits and
    what was spent stay as they are. You can resume ${user ? "the user" : "the team"} at any time.</p>`,
  async act(_, api) {
    await api.post(`admin/v1/teams/${team}/suspend`, user ? { user } : {});
    return { said: html`${user ? "User" : "Team"} <${Name} text=${user ?? team} /> ${user ? `of ${team} ` : ""}is
      suspended: new calls are refused.` };
  },
});

/** Resumes a team, or one of its users. */
export const resume = (team, user = null) => ({
  title: user ? "Resume a user?" : "Resume the whole team?",
  confirm: user ? "Resume the user" : "Resume the team",
  happens: () => html`<p>Calls of ${whose(team, user)} are admitted again, as far as limits and budgets
    allow. ${EVERYWHERE}</p>`,
  async act(_, api) {
    const { body } = await api.post(`admin/v1/teams/${team}/resume`, user ? { user } : {});
    const { users_by_configuration: users, by_configuration: stays } = body.suspension;
    const isStill = user ? users.includes(user) : stays;
    return { said: html`${user ? "User" : "Team"} <${Name} text=${user ?? team} /> ${user ? `of ${team} ` : ""}${
      isStill ? "stays suspended, by the configuration." : "may call again."
    }` };
  },
});

const AMOUNT = /^\d{1,10}(\.\d{1,6})?$/;
const reference = () => `console-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;

/**
 * Adds to the prepaid budget of a team, a user of it or a key: `of` is `{ user }`, `{ key }` or
 * `{}`.
 */
export function topUp(team, of, max) {
  const [who] = Object.values(of);
  const named = who ? html`${Object.keys(of)[0]} <${Name} text=${who} /> of team <${Name}
    text=${team} />` : html`team <${Name} text=${team} />`;
  return {
    title: "Top up a prepaid budget",
    confirm: "Top up",
    start: { credits: "", id: reference() },
    check: ({ credits: text, id }) => {
      if (!AMOUNT.test(text.trim()) || micros(text.trim()) === 0n)
        return "Credits must be a number above 0 with a point and at most six places, such as 25 or 12.50.";
      return /^[A-Za-z0-9._-]{1,128}$/.test(id.trim())
        ? null
        : "The reference must be of letters, digits, points, underscores and hyphens.";
    },
    fields: (form, set) => html`
      <label for="credits">Credits to add</label>
      <input id="credits" inputmode="decimal" autocomplete="off" required autofocus
        value=${form.credits} onInput=${set("credits")} />
      <label for="reference">Reference</label>
      <input id="reference" autocomplete="off" spellcheck="false" required value=${form.id}
        onInput=${set("id")} aria-describedby="once" />
      <p id="once" class="soft small">An invoice's number, for instance. With the same reference
        nothing is ever added twice.</p>`,
    happens: ({ credits: text }) => {
      if (!AMOUNT.test(text.trim()) || micros(text.trim()) === 0n)
        return html`<p>What ${named} may spend in all is raised. It cannot be taken back.</p>`;
      const added = micros(text.trim());
      return html`<p><strong class="numbers">${credits(added)}</strong> credits are added
        for ${named}: from <span class="numbers">${credits(max)}</span> to <span
        class="numbers">${credits(max + added)}</span> in all. It cannot be taken back.</p>`;
    },
    async act(form, api) {
      const wanted = { id: form.id.trim(), credits: form.credits.trim(), ...of };
      const { body } = await api.post(`admin/v1/teams/${team}/topup`, wanted);
      const now = credits(micros(body.max));
      return {
        said: body.added
          ? html`${credits(micros(wanted.credits))} credits are added for ${named}: ${now} in all now.`
          : html`Nothing was added: ${wanted.id} was added before. It is ${now} in all.`,
      };
    },
  };
}
