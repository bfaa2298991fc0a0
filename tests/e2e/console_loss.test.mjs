// The console after the ledger's store has lost writes: it says so, and an operator accepts it.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { Visit } from "./browser.mjs";
import { OPS, WATCH, consoleInstallation } from "./console.mjs";

describe("the console after a loss", () => {
  let at;

  before(async () => {
    at = await consoleInstallation({ ledger: { on_loss: "hold" } });
  });

  beforeEach(async () => {
    await at.api("accept-loss", {});
    assert.equal((await at.generate(at.keys.growth)).status, 200);
    assert.equal(await at.place.store.tell("FLUSHALL"), "+OK");
    for (const key of [at.keys.growth, at.keys.design])
      assert.equal((await at.generate(key)).status, 503, "a lost store admits nothing");
  });

  after(() => at.place.remove([...at.keySecrets, OPS, WATCH]));

  async function visiting(token, look, options = {}) {
    const visit = await Visit.open(at.place.operator, { at: "console", ...options });
    await visit.signedIn(token);
    await look(visit, visit.page);
    await visit.close();
  }

  /** Goes to a team by the link that stands above every view. */
  async function closed(visit, team) {
    const alert = visit.page.getByRole("alert");
    const lost = alert.filter({ hasText: "The ledger's store has lost writes" });
    await lost.getByRole("link", { name: team, exact: true }).click();
    await visit.sees(visit.heading(team));
    await visit.sees(visit.card("What was lost").getByText("The team's budgets closed at once"));
  }

  test("every view says what the store has lost", () =>
    visiting(WATCH, async (visit) => {
      for (const view of ["Overview", "Teams", "Shared keys", "Changes"]) {
        await visit.go(view);
        await visit.sees("The ledger's store has lost writes");
        await visit.sees(/Every call\s+of design, growth\b/);
        await visit.gone("The gateway is unavailable");
      }
      await closed(visit, "growth");
      await visit.gone("The ledger's store has lost writes");
      await visit.gone("The gateway is unavailable");
      await visit.sees("Every call of the team is refused now");
      await visit.sees("With ledger.on_loss: rebuild by themselves");
      assert.ok(!(await visit.text()).includes("No limits"), "of which nothing is known");
    }));

  test("a token that only reads sees no button", () =>
    visiting(WATCH, async (visit, page) => {
      await closed(visit, "growth");
      await visit.sees("moongate teams accept-loss growth");
      assert.equal(await page.getByRole("button", { name: /accept/i }).count(), 0);
    }));

  test("a loss is accepted for one team after being asked", () =>
    visiting(OPS, async (visit, page) => {
      const status = async (key) => (await at.generate(key)).status;
      const dialog = page.getByRole("dialog");
      await closed(visit, "growth");
      await page.getByRole("button", { name: "Accept what is left" }).click();
      await visit.sees(/The budgets of team growth open on every replica/);
      await page.keyboard.press("Escape");
      await dialog.waitFor({ state: "detached" });
      assert.equal(await status(at.keys.growth), 503, "nothing happens by asking");
      await page.getByRole("button", { name: "Accept what is left" }).click();
      await dialog.getByRole("button", { name: "Accept the loss" }).click();
      await visit.sees(/What is left of team growth is accepted: its budgets are open/);
      await visit.sees(visit.card("Budget").getByText("credits left of 5.00"));
      await visit.gone("Every call of the team is refused now");
      assert.equal(await status(at.keys.growth), 200);
      assert.equal(await status(at.keys.design), 503, "nobody accepted that");
      await visit.go("Changes");
      const row = visit.card("What operators changed").getByRole("row").nth(1);
      const told = /Accepted a loss team growth[\s\S]*closed true[\s\S]*false/;
      assert.match(await row.innerText(), told);
    }));

  test("what others accepted meanwhile is said to be open", () =>
    visiting(OPS, async (visit, page) => {
      await closed(visit, "growth");
      await page.getByRole("button", { name: "Accept what is left" }).click();
      await at.api("teams/growth/accept-loss", {});
      await page.getByRole("button", { name: "Accept the loss" }).click();
      await visit.sees(/The budgets of team growth were open: nothing changed/);
    }));

  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing where a loss is accepted, ${colorScheme}`, () =>
      visiting(
        OPS,
        async (visit, page) => {
          await visit.sees("The ledger's store has lost writes");
          await visit.isAccessible("what stands above every view");
          await closed(visit, "growth");
          await visit.isAccessible("a team that is closed");
          await page.setViewportSize({ width: 360, height: 740 });
          await visit.fits("a team that is closed, on a phone");
          await page.getByRole("button", { name: "Accept what is left" }).click();
          await visit.sees(page.getByRole("dialog"));
          await visit.isAccessible("what is asked first");
          await visit.fits("what is asked first, on a phone");
        },
        { colorScheme, bypassCSP: true, reducedMotion: "reduce" },
      ));
  }
});
