// Actions of an operator on gateway keys: making, rotating and revoking.

import { html } from "../shared/lib.js";
import { span } from "../shared/times.js";

const Name = ({ text }) => html`<strong class="name">${text}</strong>`;
const words = (text) => text.split(/[\s,]+/).filter(Boolean);

/** Makes a key of a team; `teams` are all teams. */
export const make = (teams, team) => ({
  title: "Make a gateway key",
  made: "The key is made",
  confirm: "Make the key",
  start: { team, name: "", user: "", models: "", until: "" },
  check: ({ name, team: chosen }) => {
    if (!chosen) return "Choose a team.";
    return name.trim() ? null : "Give the key a name, so that others know what it is for.";
  },
  fields: (form, set) => html`
    <div class="row"><div><label for="key-team">Team</label>
      <select id="key-team" value=${form.team} onChange=${set("team")}>
        ${teams.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></div>
    <div><label for="key-name">Name</label>
      <input id="key-name" autocomplete="off" maxlength="128" required autofocus
        placeholder="render farm" value=${form.name} onInput=${set("name")} /></div></div>
    <div class="row"><div><label for="key-user">User <span class="soft">(optional)</span></label>
      <input id="key-user" autocomplete="off" spellcheck="false" value=${form.user}
        onInput=${set("user")} /></div>
    <div><label for="key-until">Good until <span class="soft">(optional)</span></label>
      <input id="key-until" type="date" value=${form.until} onInput=${set("until")} /></div></div>
    <label for="key-models">Models <span class="soft">(optional)</span></label>
    <input id="key-models" autocomplete="off" spellcheck="false" placeholder="all that the team may use"
      value=${form.models} onInput=${set("models")} />`,
  happens: ({ team: chosen, name, user, models, until }) => html`<p>A new
    key <${Name} text=${name.trim() || "without a name yet"} /> lets its holder call as
    team <${Name} text=${chosen} />${user.trim() ? html`, as user <${Name} text=${user.trim()} />` : ""},
    with ${words(models).length > 0 ? words(models).join(", ") : "every model of the team"}, ${
      until ? `until ${until}, 00:00 UTC` : "until it is revoked"
    }. Its secret is shown once.</p>`,
  async act({ team: chosen, name, user, models, until }, api) {
    const wanted = { team: chosen, name: name.trim() };
    if (user.trim()) wanted.user = user.trim();
    if (words(models).length > 0) wanted.models = words(models);
    if (until) wanted.expires_at = `${until}T00:00:00Z`;
    const { body } = await api.post("admin/v1/keys", wanted);
    const said = html`Key <${Name} text=${body.key.name} /> of team ${body.key.team} is made.`;
    return { said, secret: body.secret };
  },
});

const HOUR = 3600;
const OVERLAPS = [0, HOUR, 24 * HOUR, 7 * 24 * HOUR, 30 * 24 * HOUR];
const long = (seconds) => span(seconds * 1000);

/** Rotates a key: gives it a new secret; the old one stays valid for a while. */
export const rotate = (key) => ({
  title: "Rotate the key's secret?",
  made: "The key has a new secret",
  confirm: "Rotate",
  start: { overlap: String(24 * HOUR), endOlder: false },
  fields: (form, set) => html`
    <label for="overlap">The secret until now stays good for</label>
    <select id="overlap" value=${form.overlap} onChange=${set("overlap")}>
      ${OVERLAPS.map((seconds) => html`<option key=${seconds}
        value=${String(seconds)}>${seconds === 0 ? "no time: it ends at once" : long(seconds)}</option>`)}</select>
    ${
      key.secrets.some(({ state }) => state === "overlap") &&
      html`<label class="check"><input type="checkbox" checked=${form.endOlder}
      onChange=${set("endOlder")} /> End secrets of earlier rotations with it</label>`
    }`,
  happens: ({ overlap }) => html`<p>Key <${Name} text=${key.name} /> of
    team <${Name} text=${key.team} /> gets a new secret, which is shown once. ${
      overlap === "0"
        ? html`Whoever still uses the old one is refused at once.`
        : html`The old one is good for ${long(Number(overlap))} more, then it is refused.`
    }</p>`,
  async act({ overlap, endOlder }, api) {
    const wanted = { overlap_seconds: Number(overlap), end_older: endOlder };
    const { body } = await api.post(`admin/v1/keys/${key.id}/rotate`, wanted);
    const said = html`Key <${Name} text=${key.name} /> has a new secret.`;
    return { said, secret: body.secret };
  },
});

/** Revokes a key, for good. */
export const revoke = (key) => ({
  title: "Revoke the key for good?",
  confirm: "Revoke the key",
  danger: true,
  happens: () => html`<p>Every call with key <${Name} text=${key.name} /> of
    team <${Name} text=${key.team} /> is refused, with all of its secrets, on every replica within two
    seconds. Calls that run already are finished.</p><p>It cannot be undone: who needs access again
    needs a new key.</p>`,
  async act(_, api) {
    await api.post(`admin/v1/keys/${key.id}/revoke`, {});
    return { said: html`Key <${Name} text=${key.name} /> of team ${key.team} is revoked.` };
  },
});
