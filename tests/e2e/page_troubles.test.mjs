// The team page while something is wrong: it says what, keeps what it knew, and goes on by itself.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Visit } from "./browser.mjs";
import { pageInstallation } from "./page.mjs";

describe("the team page in trouble", () => {
  let at, visit, page;

  before(async () => {
    at = await pageInstallation({ account: { requests_per_minute: 1000 } });
  });

  after(async () => {
    await at.place.remove(Object.values(at.keys).map((key) => key.split("_").at(-1)));
  });

  /** Signs in on a page of its own, and closes it after the test's own look. */
  async function signedIn(credential, look) {
    visit = await Visit.open(at.url);
    page = visit.page;
    await visit.signedIn(credential);
    await look();
    await visit.close();
  }

  test("a token that expires brings back the form, with the reason", async () => {
    const token = await at.token("ann", 4);
    await signedIn(token, async () => {
      await visit.sees("Your credential has expired. Sign in with a new one.");
      assert.ok(!(await visit.text()).includes("credits left"), "nothing of the team is left");
    });
  });

  test("without a network it says so, keeps what it knew, and goes on when it is back", () =>
    signedIn(at.keys.design, async () => {
      await visit.context.setOffline(true);
      await visit.sees("You are offline");
      await visit.sees(/What you see is from/);
      await visit.sees(visit.card("Budget").getByText("credits left of 400.00"));
      await visit.context.setOffline(false);
      await visit.gone("You are offline");
    }));

  test("a page that asks too often asks less, and says so", async () => {
    await at.place.change((changed) => (changed.account = { requests_per_minute: 7 }));
    await signedIn(at.keys.growth, async () => {
      for (let turn = 0; turn < 3; turn += 1) {
        await visit.go("History");
        await visit.go("Overview");
      }
      await visit.sees("The page asks less often for a moment");
      await visit.sees(visit.card("Budget").getByText("credits left of 5.00"));
    });
    await at.place.change((changed) => (changed.account = { requests_per_minute: 1000 }));
  });

  test("while the gateway drains the page says so, its own call still ends, and a new gateway is found again", () =>
    signedIn(at.keys.design, async () => {
      await visit.go("Generate");
      await page.getByLabel("Prompt").fill("a lighthouse");
      await at.place.faults([{ fault: "hold", times: 1 }]);
      await page.getByRole("button", { name: "Generate" }).click();
      await visit.sees("Firemoon is at it");
      const ended = at.place.gateway.stop();
      await visit.sees(/The gateway (is restarting|does not answer)/);
      await at.place.release();
      await visit.sees(visit.card("Made on this page").getByRole("img"));
      assert.equal(await ended, 0);
      await visit.sees("The gateway does not answer");
      await at.place.restart();
      await visit.gone("The gateway does not answer");
    }));

  test("a team that is suspended is told so, and so is one that vanished", async () => {
    await signedIn(await at.token("ann"), async () => {
      const budget = () => visit.sees(visit.card("Budget").getByText("credits left of 400.00"));
      await at.place.change((changed) => (changed.teams.design.suspended = true));
      await visit.sees("You may not call for now");
      await budget();
      await at.place.change((changed) => delete changed.teams.design.suspended);
      await visit.gone("You may not call for now");
      const [issuer] = at.place.configuration.identity.issuers;
      await at.place.change(() => (issuer.teams = { "grp-other": "growth" }));
      await visit.sees("Your team is not known here any more");
      await budget();
      await at.place.change(() => (issuer.teams = { "grp-design": "design" }));
      await visit.gone("Your team is not known here any more");
    });
  });

  test("a key that is taken away brings back the form", () =>
    signedIn(at.keys.poor, async () => {
      await at.place.change(({ identity }) => {
        identity.keys = identity.keys.filter((key) => key.team !== "poor");
      });
      await visit.sees("The gateway no longer knows your credential. Sign in again.");
    }));

  test("a part that is awaited or fails says so, and is there when it can be had", async () => {
    visit = await Visit.open(at.url);
    page = visit.page;
    let fail;
    const failing = new Promise((resolve) => (fail = resolve));
    const isMonth = /\/usage\?period=month$/;
    await page.route(isMonth, async (route) => {
      await failing;
      const said = { error: "Internal error", message: "It is our fault", code: "internal" };
      await route.fulfill({ status: 500, json: said });
    });
    await visit.signedIn(at.keys.design);
    const spend = visit.card("Spend");
    await visit.sees(spend.getByText("Loading the spend…"));
    await visit.sees(visit.card("Budget").getByText("credits left of 400.00"));
    fail();
    await visit.sees(spend.getByText("The spend cannot be shown now"));
    await page.unroute(isMonth);
    await visit.sees(spend.getByText(/credits in|Nothing was spent in/));
    await visit.close();
  });

  test("while the ledger is away the page keeps what it knew", () =>
    signedIn(at.keys.design, async () => {
      await visit.sees(visit.card("Spend").getByText(/credits in/));
      at.place.store.program.child.kill("SIGSTOP");
      await visit.sees("The gateway is unavailable for the moment", { timeout: 60_000 });
      await visit.sees(visit.card("Budget").getByText("credits left of 400.00"));
      at.place.store.program.child.kill("SIGCONT");
      await visit.gone("The gateway is unavailable for the moment");
    }));

  test("a page asks at most sixty times a minute, and nothing while it is hidden", async () => {
    visit = await Visit.open(at.url);
    await visit.holdsTime();
    await visit.signedIn(at.keys.design);
    const asked = () => visit.asked.filter(({ url }) => /\/(api|gateway\/v1)\//.test(url)).length;
    let before = asked();
    await visit.pass(60);
    const inAMinute = asked() - before;
    assert.ok(inAMinute >= 10 && inAMinute <= 60, `${inAMinute} requests in a minute`);
    await visit.isHidden(true);
    await visit.pass(1);
    before = asked();
    await visit.pass(120);
    assert.equal(asked(), before, "nobody looks");
    await visit.isHidden(false);
    await visit.pass(2);
    assert.ok(asked() > before, "somebody looks again");
    await visit.close();
  });
});
