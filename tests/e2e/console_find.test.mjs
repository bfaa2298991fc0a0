// The console finds a call by its id, as it stands in a line of the log or a caller's complaint.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Visit } from "./browser.mjs";
import { OPS, WATCH, consoleInstallation } from "./console.mjs";
import { until } from "./processes.mjs";

const HTML = "<img src=x onerror=alert(1)><b>eve</b>";

describe("the console finds a call", () => {
  let at;

  before(async () => {
    at = await consoleInstallation();
  });

  after(() => at.place.remove([...at.keySecrets, OPS, WATCH]));

  /** A call that carries a request id; gives its own id. */
  async function made(credential, requestId, body = { prompt: "a lighthouse", num_images: 2 }) {
    const answer = await called(credential, requestId, body);
    return answer.headers.get("x-call-id");
  }

  const called = (credential, requestId, body, signal) =>
    fetch(`${at.url}/api/v1/flux/dev`, {
      method: "POST",
      signal,
      headers: {
        authorization: `Bearer ${credential}`,
        "content-type": "application/json",
        "x-request-id": requestId,
      },
      body: JSON.stringify(body),
    });

  async function visiting(look, { hash = "", ...options } = {}) {
    const visit = await Visit.open(at.place.operator, { at: `console${hash}`, ...options });
    await visit.signIn(WATCH);
    await visit.sees(visit.page.getByRole("navigation", { name: "Views" }));
    await look(visit, visit.page);
    await visit.close();
  }

  async function find(visit, id) {
    await visit.page.getByLabel("Call id or request id").fill(id);
    await visit.page.getByRole("button", { name: "Find", exact: true }).click();
  }

  /** What a card says of a fact. */
  const fact = (card, name) =>
    card.locator("dl > div").filter({ hasText: name }).getByRole("definition").innerText();

  test("a call is found by its id", async () => {
    const id = await made(await at.token("ben"), "found-by-call-id");
    await visiting(async (visit, page) => {
      await visit.go("Find a call");
      await find(visit, `  ${id} `);
      await visit.sees("1 call has this id.");
      const card = visit.card("flux/dev");
      await visit.sees(card.getByText("Completed", { exact: true }));
      await visit.sees(card.getByText("New York").first());
      const facts = {
        Team: "design",
        User: "ben",
        Made: "2 images",
        Reserved: "0.05 credits",
        Charged: "0.05 credits",
        Status: "200",
      };
      for (const [name, value] of Object.entries(facts))
        assert.equal(await fact(card, name), value, name);
      assert.match(await fact(card, "Request id"), /^found-by-call-id/);
      for (const name of ["Admitted", "Sent", "Answered", "Settled"])
        assert.match(await fact(card, name), /^\d+ \w+, \d\d:\d\d:\d\d/, name);
      assert.equal(page.url(), `${at.place.operator}/console#call/${id}`);
      await card.getByRole("link", { name: "design" }).click();
      await visit.sees(visit.card("Latest calls").getByRole("link", { name: id }));
      await visit.card("Latest calls").getByRole("link", { name: id }).click();
      await visit.sees("1 call has this id.");
    });
  });

  test("a request id shows every call that carried it", async () => {
    const first = await made(at.keys.design, "twice");
    const second = await made(at.keys.growth, "twice", { prompt: "a lighthouse" });
    await visiting(
      async (visit, page) => {
        await visit.sees("2 calls carried this request id, newest first.");
        const facts = page.locator(".call dl > div");
        const ids = await facts.filter({ hasText: "Call id" }).allInnerTexts();
        assert.deepEqual(ids.map((text) => /[0-9a-f]{32}/.exec(text)[0]), [second, first]);
        assert.equal(await page.getByLabel("Call id or request id").inputValue(), "twice");
      },
      { hash: "#call/twice" },
    );
  });

  test("an open call is followed until it has ended", async () => {
    await at.place.faults([{ fault: "hold", times: 1 }]);
    const call = called(at.keys.growth, "held", { prompt: "a lighthouse" });
    const known = () => at.api("calls/held").catch(() => ({ calls: [] }));
    await until("it runs", async () => (await known()).calls[0]?.state === "running");
    await visiting(
      async (visit) => {
        const card = visit.card("flux/dev");
        await visit.sees(card.getByText("Running", { exact: true }));
        assert.equal(await fact(card, "Charged"), "not before it ends");
        await at.place.release();
        await visit.sees(card.getByText("Completed", { exact: true }));
        assert.equal((await call).status, 200);
        assert.equal(await fact(card, "Charged"), "0.025 credits");
      },
      { hash: "#call/held" },
    );
  });

  test("an id that nobody knows is asked once", async () => {
    const visit = await Visit.open(at.place.operator, { at: "console#call/nobody-knows" });
    await visit.holdsTime();
    await visit.signIn(WATCH);
    await visit.sees("No call has this id");
    const asked = () => visit.asked.filter(({ url }) => url.endsWith("/calls/nobody-knows")).length;
    await visit.pass(90);
    assert.equal(asked(), 1);
    assert.equal(await visit.page.getByRole("alert").count(), 0, "it is no trouble of the gateway");
    await made(at.keys.growth, "nobody-knows");
    await visit.page.getByRole("button", { name: "Find", exact: true }).click();
    await visit.pass(1);
    await visit.sees("1 call carried this request id.");
    await visit.close();
  });

  test("a call that cannot be read is asked again", () =>
    visiting(async (visit, page) => {
      await visit.go("Find a call");
      let [isAway, failed] = [true, 0];
      await page.route("**/admin/v1/calls/*", async (route) => {
        if (!isAway) return route.continue();
        failed += 1;
        const json = { message: "The ledger does not answer", code: "ledger_unavailable" };
        return route.fulfill({ status: 503, json });
      });
      await find(visit, await made(at.keys.growth, "later"));
      await visit.sees("The call cannot be shown now");
      await visit.sees("The gateway is unavailable for the moment");
      isAway = false;
      await visit.sees("1 call has this id.");
      await visit.gone("The gateway is unavailable for the moment");
      assert.ok(failed > 0);
    }));

  test("HTML in an id and in names is shown as text", async () => {
    await at.generate(await at.token(HTML));
    const { rows } = await at.api("ledger?team=design&limit=1");
    await visiting(
      async (visit, page) => {
        await visit.sees("This is no id");
        assert.equal(await page.getByLabel("Call id or request id").inputValue(), HTML);
        await find(visit, rows[0].id);
        await visit.sees(visit.card("flux/dev").getByText(HTML, { exact: true }));
        await find(visit, HTML);
        await visit.sees(page.getByRole("alert").getByText("This is no id"));
        assert.equal(await page.locator("main img, main b").count(), 0);
      },
      { hash: `#call/${encodeURIComponent(HTML)}` },
    );
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing where calls are found, ${colorScheme}`, async () => {
      const id = await made(at.keys.growth, `axe-${colorScheme}`);
      await visiting(
        async (visit) => {
          await visit.go("Find a call");
          await visit.isAccessible("the form");
          await find(visit, "no id!");
          await visit.sees("This is no id");
          await visit.isAccessible("the form with a mistake");
          await find(visit, "of-nobody");
          await visit.sees("No call has this id");
          await visit.isAccessible("nothing found");
          await find(visit, id);
          await visit.sees("1 call has this id.");
          await visit.isAccessible("a call");
          await visit.page.setViewportSize({ width: 360, height: 740 });
          await visit.fits("a call on a phone");
        },
        { colorScheme, bypassCSP: true, reducedMotion: "reduce" },
      );
    });
  }
});
