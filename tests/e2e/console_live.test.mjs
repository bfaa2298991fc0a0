// The console while things happen: a queue, a gateway that stops, a token that ends, a page that
// nobody looks at.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Visit } from "./browser.mjs";
import { OPS, WATCH, consoleInstallation } from "./console.mjs";
import { until } from "./processes.mjs";

describe("the console while things happen", () => {
  let at;

  before(async () => {
    at = await consoleInstallation({
      upstream: { limits: { requests_per_minute: 2 } },
      queue: { max_wait: "60s" },
      shutdown: { delay: "12s" },
    });
  });

  after(() => at.place.remove([...at.keySecrets, OPS, WATCH]));

  async function visiting(token, look) {
    const visit = await Visit.open(at.place.operator, { at: "console" });
    await visit.signedIn(token);
    await look(visit, visit.page);
    await visit.close();
  }

  test("the queue shows who waits and by which share", () =>
    visiting(WATCH, async (visit) => {
      await visit.go("Queue");
      await visit.sees("Nobody waits");
      // The two calls that Firemoon allows are those of one minute of the clock.
      const isEarly = () => new Date().getUTCSeconds() < 30;
      await until("a minute has just begun", isEarly, 60_000);
      for (let made = 0; made < 2; made += 1) await at.generate(at.keys.growth);
      const leaving = new AbortController();
      const waiting = fetch(`${at.url}/api/v1/flux/dev`, {
        method: "POST",
        signal: leaving.signal,
        headers: {
          authorization: `Bearer ${at.keys.design}`,
          "content-type": "application/json",
        },
        body: JSON.stringify({ prompt: "a lighthouse" }),
      }).catch((error) => error.name);
      const row = visit.card("Waiting now").getByRole("row").filter({ hasText: "flux/dev" });
      await visit.sees(row.getByRole("link", { name: "design" }));
      assert.match(await row.innerText(), /\d+ s/);
      const share = visit.card("Shares").getByRole("row").filter({ hasText: "design" });
      await visit.sees(share.getByText("100 %"));
      leaving.abort();
      assert.equal(await waiting, "AbortError");
      await visit.sees("Nobody waits");
    }));

  test("a page that nobody looks at asks nothing", async () => {
    const visit = await Visit.open(at.place.operator, { at: "console" });
    await visit.holdsTime();
    await visit.signedIn(WATCH);
    const asked = () => visit.asked.filter(({ url }) => url.includes("/admin/v1/")).length;
    await visit.go("Queue");
    let before = asked();
    await visit.pass(20);
    assert.ok(asked() > before, "somebody looks");
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

  test("a token that is taken away ends the session", () =>
    visiting(WATCH, async (visit, page) => {
      const [, watch] = at.place.configuration.admin.tokens;
      await at.place.change((changed) => changed.admin.tokens.splice(1, 1));
      await visit.sees("The gateway no longer knows your token");
      await visit.sees(page.getByLabel("Operator's token"));
      await at.place.change((changed) => changed.admin.tokens.push(watch));
      await until("it is known again", async () => {
        const headers = { authorization: `Bearer ${WATCH}` };
        return (await fetch(`${at.place.operator}/admin/v1/whoami`, { headers })).ok;
      });
    }));

  test("a team that vanishes while it is looked at is said to be gone", () =>
    visiting(WATCH, async (visit) => {
      await visit.go("Teams");
      await visit.card("Limits and spend").getByRole("link", { name: "studio", exact: true }).click();
      await visit.sees(visit.card("Budget").getByText("credits left of 12.50"));
      const { studio } = at.place.configuration.teams;
      await at.place.change((changed) => delete changed.teams.studio);
      await visit.sees("There is no team studio");
      assert.ok(!(await visit.text()).includes("credits left of"), "nothing of it is left");
      await at.place.change((changed) => (changed.teams.studio = studio));
      await visit.sees(visit.card("Budget").getByText("credits left of 12.50"));
    }));

  test("a gateway that stops is said to stop", () =>
    visiting(WATCH, async (visit) => {
      await visit.go("Queue");
      const ended = at.place.gateway.stop();
      await visit.sees("This gateway is stopping");
      assert.equal(await ended, 0);
      await visit.sees("The gateway does not answer");
      await visit.sees(/What you see is from/);
      await at.place.restart();
    }));
});
