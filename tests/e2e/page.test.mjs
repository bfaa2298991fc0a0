// The team page as its users use it, in Chromium: signing in, seeing, asking the price, making a
// picture.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Visit } from "./browser.mjs";
import { pageInstallation } from "./page.mjs";
import { until } from "./processes.mjs";

const HTML = "<img src=x onerror=alert(1)><b>eve</b>";

describe("the team page", () => {
  let at, tokens;

  before(async () => {
    at = await pageInstallation();
    tokens = [];
  });

  after(async () => {
    // A token's signature may have a "_" near its end.
    const secrets = [
      ...Object.values(at.keys).map((key) => key.split("_").at(-1)),
      ...tokens.map((token) => token.split(".").at(-1)),
    ];
    await at.place.remove(secrets);
  });

  async function token(user, seconds) {
    tokens.push(await at.token(user, seconds));
    return tokens.at(-1);
  }

  /** A visit that ends with its test, whatever comes of it. */
  async function visiting(options, look) {
    const visit = await Visit.open(at.url, options);
    await look(visit, visit.page);
    await visit.close();
  }

  test("a wrong credential is told so, and a right one sees the team", () =>
    visiting({}, async (visit, page) => {
      await visit.signIn("mgk_nobody");
      await visit.sees("The credential is not valid for this gateway");
      await visit.signedIn(at.keys.design);
      await visit.sees(visit.card("Budget").getByText("credits left of 400.00"));
      await visit.sees(page.getByRole("banner").getByText("design"));
      await page.getByRole("button", { name: "Sign out" }).click();
      await visit.sees("You are signed out");
      assert.equal(
        await page.getByLabel("Your team's credential").inputValue(),
        "",
        "the credential is gone",
      );
    }));

  test("a credential in the fragment signs in and is gone from the address at once", () =>
    visiting({}, async (visit, page) => {
      visit.credentials.push(at.keys.growth);
      await page.goto("about:blank");
      await page.goto(`${at.url}/#credential=${at.keys.growth}`);
      await visit.sees(visit.heading("Overview"));
      assert.equal(page.url(), `${at.url}/`);
      await page.goBack();
      assert.equal(page.url(), "about:blank", "and from what can be gone back to");
      await page.goForward();
      await visit.sees(page.getByLabel("Your team's credential"));
    }));

  test("a call is quoted as it is typed, made, shown, and stands in the history with its picture", async () => {
    const ann = await token("ann");
    await visiting({}, async (visit, page) => {
      await visit.signedIn(ann);
      await visit.go("Generate");
      await page.getByLabel("Prompt").fill("a lighthouse at dusk");
      await page.getByLabel("Images").selectOption("4");
      await visit.sees("At most 0.10 credits for 4 images.");
      await page.getByLabel("Images").selectOption("2");
      await visit.sees("At most 0.05 credits for 2 images.");
      await page.getByRole("button", { name: "Generate" }).click();
      const pictures = visit.card("Made on this page").getByRole("img");
      await visit.sees(pictures.nth(1));
      await until("both pictures are there", () =>
        pictures.evaluateAll(
          (all) => all.length === 2 && all.every((one) => one.naturalWidth === 1024),
        ),
      );
      await visit.sees("Cost 0.05 credits");
      await visit.go("History");
      const row = page.getByRole("row").filter({ hasText: "flux/dev" }).first();
      await visit.sees(row.getByRole("img"));
      assert.match(await row.innerText(), /2 images[\s\S]*ann[\s\S]*Completed[\s\S]*0\.05/);
      await row.getByRole("button", { name: /Show details/ }).click();
      await visit.sees(page.getByText("Held while it ran"));
      await visit.go("Overview");
      const spend = visit.card("Spend");
      await visit.sees(spend.getByRole("rowheader", { name: "ann" }));
      await spend.getByRole("button", { name: "Last month" }).click();
      await visit.sees(spend.getByText("Nothing was spent in"));
      await spend.getByRole("button", { name: "This month" }).click();
      await visit.sees(spend.getByRole("rowheader", { name: "ann" }));
    });
  });

  test("a video is asked for by its length, and a call that Firemoon refuses says why", async () => {
    const ben = await token("ben");
    await visiting({}, async (visit, page) => {
      await visit.signedIn(ben);
      await visit.go("Generate");
      await page.getByLabel("Model").selectOption("kling/kling-2-1-master");
      await page.getByLabel("Prompt").fill("waves");
      await page.getByLabel("Length").selectOption("10");
      await visit.sees("At most 2.80 credits for 10 s of video.");
      await at.place.faults([
        {
          fault: "answer",
          amount: 400,
          text: JSON.stringify({ error: "Invalid input", message: "The prompt is too short" }),
          times: 1,
        },
      ]);
      await page.getByRole("button", { name: "Generate" }).click();
      await visit.sees(visit.card("Made on this page").getByText("The prompt is too short"));
      await visit.go("History");
      const row = page.getByRole("row").filter({ hasText: "ben" }).first();
      await visit.sees(row.getByText("Refused"));
      await visit.sees(row.getByText("Firemoon found the request wrong (400)"));
      assert.match(await row.innerText(), /0\.00/);
    });
  });

  test("a call that waits for the shared account says so until it is made", () =>
    visiting({}, async (visit, page) => {
      await visit.signedIn(at.keys.design);
      await visit.go("Generate");
      await page.getByLabel("Prompt").fill("a lighthouse");
      await at.place.faults([{ fault: "rate_limited", amount: 5, times: 1 }]);
      await page.getByRole("button", { name: "Generate" }).click();
      await visit.sees("In the queue for the shared account, next of your team");
      await visit.sees(visit.card("Made on this page").getByRole("img"));
      await visit.sees(/waited [\d.]+ s in the queue/);
    }));

  test("a budget that is used up is said before the call and by it", () =>
    visiting({}, async (visit, page) => {
      for (let made = 0; made < 2; made += 1)
        assert.equal((await at.generate(at.keys.poor)).status, 200);
      await visit.signedIn(at.keys.poor);
      await visit.sees(visit.card("Budget").getByText("credits left of 0.06"));
      await visit.go("Generate");
      await page.getByLabel("Prompt").fill("a lighthouse");
      await visit.sees("It would be refused now");
      await visit.sees("What binds: prepaid credits of the team.");
      await visit.sees("No time will help: the budget must be raised or topped up.");
      await page.getByRole("button", { name: "Generate" }).click();
      const made = visit.card("Made on this page");
      await visit.sees(made.getByText("Insufficient credits", { exact: true }));
      await visit.sees(made.getByText(/team:credits_total allows 0\.06: 0\.05 used/));
      await visit.go("History");
      const refused = visit.card("Refused lately").getByRole("row").filter({ hasText: "flux/dev" });
      await visit.sees(refused.getByText("A budget would be passed"));
      await visit.sees(refused.getByText("Prepaid credits of the team", { exact: true }));
    }));

  test("two teams see nothing of each other, one after the other in the same page", async () => {
    const cleo = await token("cleo-of-design");
    assert.equal((await at.generate(cleo)).status, 200);
    assert.equal(
      (await at.generate(at.keys.growth, { prompt: "a lighthouse" }, "flux/schnell")).status,
      200,
    );
    await visiting({}, async (visit, page) => {
      await visit.signedIn(cleo);
      await visit.go("History");
      await visit.sees(page.getByRole("cell", { name: "cleo-of-design" }).first());
      assert.equal(await page.getByRole("rowheader", { name: "flux/schnell" }).count(), 0);
      await page.getByRole("button", { name: "Sign out" }).click();
      await visit.signIn(at.keys.growth);
      await visit.sees(visit.heading("History"));
      await visit.sees(page.getByRole("rowheader", { name: "flux/schnell" }).first());
      for (const view of ["Overview", "Generate", "History", "Code"]) {
        await visit.go(view);
        const text = await visit.text();
        assert.ok(
          !text.includes("cleo") && !text.includes("design") && !text.includes("kling"),
          `${view}: ${text}`,
        );
      }
    });
  });

  test("a key is named as its team calls it, and told apart by its id", async () => {
    const id = at.keys.growth.split("_")[1];
    assert.equal((await at.generate(at.keys.growth)).status, 200);
    assert.equal((await at.generate(at.keys.growth, {}, "kling/kling-2-1-master")).status, 403);
    await visiting({}, async (visit, page) => {
      await visit.signedIn(at.keys.growth);
      await visit.sees(page.getByRole("banner").getByText("laptop", { exact: true }));
      await visit.sees(page.getByRole("contentinfo").getByText(`laptop (${id})`));
      await visit.sees(
        visit.card("Spend").getByRole("rowheader", { name: `laptop key ${id}`, exact: true }),
      );
      await visit.go("History");
      const history = visit.card("Your team's calls");
      await visit.sees(history.getByRole("cell", { name: "laptop", exact: true }).first());
      await visit.sees(visit.card("Refused lately").getByRole("cell", { name: "laptop" }).first());
      await history.getByRole("button", { name: /^Show details/ }).first().click();
      await visit.sees(history.getByText(`laptop (key:${id})`));
      assert.ok(!(await page.getByRole("banner").innerText()).includes("key:"));
    });
  });

  test("HTML in a name is text", async () => {
    const eve = await token(HTML);
    assert.equal((await at.generate(eve)).status, 200);
    await visiting({}, async (visit, page) => {
      await visit.signedIn(eve);
      await visit.sees(visit.card("Spend").getByText(HTML));
      await visit.go("History");
      await visit.sees(page.getByRole("cell", { name: HTML }).first());
      assert.equal(await page.locator("img[src=x], td b, th b").count(), 0);
    });
  });

  test("the answer of a caller who hung up is there to fetch, and its picture in the history", async () => {
    await at.place.faults([{ fault: "slow_headers", after: "1s", times: 1 }]);
    const stop = new AbortController();
    const body = JSON.stringify({ prompt: "left behind" });
    const headers = {
      authorization: `Bearer ${at.keys.growth}`,
      "content-type": "application/json",
      "x-request-id": "left-behind",
    };
    const call = fetch(`${at.url}/api/v1/flux/dev`, {
      method: "POST",
      headers,
      body,
      signal: stop.signal,
    });
    const state = async () => {
      const told = await fetch(`${at.url}/gateway/v1/requests/left-behind`, { headers });
      return told.status === 200 ? (await told.json()).requests[0] : {};
    };
    await until("the call runs", async () => (await state()).state === "running");
    stop.abort();
    await assert.rejects(call);
    await until("its answer is kept", async () => (await state()).answerBytes > 0);
    await visiting({}, async (visit, page) => {
      await visit.signedIn(at.keys.growth);
      await visit.sees(visit.card("Open calls and kept answers").getByText("1 answer kept"));
      await visit.card("Open calls and kept answers").scrollIntoViewIfNeeded();
      await visit.sees(visit.card("Open calls and kept answers").getByRole("img"));
      await visit.go("History");
      await visit.sees(
        page.getByRole("row").filter({ hasText: "flux/dev" }).first().getByRole("img"),
      );
    });
  });

  test("snippets name this gateway, and no credential", () =>
    visiting({}, async (visit, page) => {
      await visit.signedIn(at.keys.design);
      await visit.go("Code");
      for (const [name, part] of [
        ["curl", `curl -s ${at.url}/api/v1/flux/dev`],
        ["JavaScript client", `baseURL: "${at.url}/api"`],
        ["fetch", `fetch("${at.url}/api/v1/flux/dev"`],
      ]) {
        await page.getByRole("button", { name, exact: true }).click();
        const code = await page.getByRole("region", { name: `${name} snippet` }).innerText();
        assert.ok(code.includes(part), code);
        assert.ok(!code.includes("mgk_"), code);
      }
    }));
});
