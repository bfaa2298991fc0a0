// The limits of the caller who is signed in: the team's, the user's and the key's, in one table.

import { html } from "../shared/lib.js";
import { Card, Empty } from "../shared/elements.js";
import { read } from "../shared/limits.js";
import { LimitsTable } from "../shared/limits_table.js";

const CAPTION = "Your limits: what is used, reserved and left of each, and when it resets";

export function Limits({ me }) {
  const limits = me.limits.map(read);
  return html`
    <${Card} title="Limits" id="limits" aside="checked together, before every call">
      ${
        limits.length === 0
          ? html`<${Empty} title="No limits">Nothing bounds your calls here but the shared account's
            own limits.<//>`
          : html`<${LimitsTable} limits=${limits} zone=${me.timeZone} caption=${CAPTION} />`
      }
    <//>`;
}
