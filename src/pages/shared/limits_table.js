// Limits as a table: used, reserved and left of each, and its reset.

import { html } from "./lib.js";
import { credits, places } from "./credits.js";
import { Badge, Bar, Time, count } from "./elements.js";
import { WHO, parts, resets, tone, what } from "./limits.js";

function Row({ limit, zone, who }) {
  const amounts = [limit.max, limit.used, limit.reserved, limit.remaining];
  const decimals = places(amounts);
  const written = (value) => (limit.isCredits ? credits(value, decimals) : count(value));
  return html`
    <tr>
      <th scope="row">
        <span class="what">${what(limit.kind)}</span>
        <small><span class="numbers">${written(limit.max)}</span> for ${who[limit.level] ?? limit.level}</small>
        ${resets(limit) && html`<small class="narrow">resets <${Time} at=${limit.reset} zone=${zone}
          /></small>`}
        ${limit.shadow && html` <${Badge}>only counted<//>`}
        <${Bar} parts=${parts(limit)} tone=${tone(limit)} />
      </th>
      <td class="number">${written(limit.used)}</td>
      <td class="number wide">${written(limit.reserved)}</td>
      <td class="number strong">${written(limit.remaining)}</td>
      <td class="number reset wide">${resets(limit) ? html`<${Time} at=${limit.reset} zone=${zone}
        />` : html`<span class="soft">–</span>`}</td>
    </tr>`;
}

/**
 * A table of limits: `limits` as `read` gives them, the team's zone, and `who` for the owner of
 * each.
 */
export const LimitsTable = ({ limits, zone, caption, who = WHO }) =>
  html`<table class="limits">
    <caption class="sr">${caption}</caption>
    <thead><tr>
      <th scope="col">Limit</th><th scope="col" class="number">Used</th><th scope="col"
        class="number wide">Reserved</th>
      <th scope="col" class="number">Left</th><th scope="col"
        class="number reset wide">Resets</th>
    </tr></thead>
    <tbody>${limits.map((limit) => html`<${Row} key=${limit.name} limit=${limit}
      zone=${zone} who=${who} />`)}</tbody>
  </table>`;
