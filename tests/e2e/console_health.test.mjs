// What the console's overview says of the parts that the gateway works with, while they are well
// and when they are not.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Visit } from "./browser.mjs";
import { OPS, WATCH, consoleInstallation } from "./console.mjs";
import { until } from "./processes.mjs";

/** Each part, and how it is while all is well. */
const WELL = {
  "This gateway": "Ready",
  Firemoon: "Answers",
  "Shared keys": "1 of 1 used",
  Ledger: "Fine",
  "Issuers of tokens": "Fine",
  Queue: "Empty",
};

describe("the console's health", () => {
  let at;

  before(async () => {
    const upstream = { limits: { requests_per_minute: 6000 }, reconcile: { every: "100ms" } };
    at = await consoleInstallation({ upstream });
    await until("the balance is read", async () => (await balance())?.drift === 0);
  });

  after(() => at.place.remove([...at.keySecrets, OPS, WATCH]));

  const balance = async () => (await at.api("usage?period=month")).balances[0];

  /** Looks at the lines of a fresh overview: some parts are asked about once a minute only. */
  async function overview(look) {
    const visit = await Visit.open(at.place.operator, { at: "console" });
    await visit.signedIn(WATCH);
    const line = (part) =>
      visit
        .card("Health")
        .getByRole("listitem")
        .filter({ has: visit.page.getByText(part, { exact: true }) });
    await look((part, text) => visit.sees(line(part).getByText(text).first()));
    await visit.close();
  }

  test("every part has a line and is well", () =>
    overview(async (says) => {
      for (const [part, text] of Object.entries(WELL)) await says(part, text);
      await says("Balance of primary", /^[\d,.]+ credits$/);
      await says("Balance of primary", "agrees with the ledger");
    }));

  test("a drift of the balance and a rejected shared key are told", async () => {
    const before = await balance();
    await at.place.changeKey({ balance: Number(before.balance) - 5 });
    await until("the drift is known", async () => (await balance()).drift === 5);
    await at.place.changeKey({ suspended: true });
    const rejected = await at.generate(at.keys.growth);
    assert.equal((await rejected.json()).code, "upstream_key_rejected");
    await overview(async (says) => {
      await says("Balance of primary", /^drift 5\.00 since/);
      await says("Shared keys", "0 of 1 used");
      await says("Ledger", "Fine");
    });
  });
});
