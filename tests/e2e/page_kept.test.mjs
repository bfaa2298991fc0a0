// The history's thumbnails of kept answers: of calls in sight, straight from the media address.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Visit } from "./browser.mjs";
import { pageInstallation } from "./page.mjs";
import { until } from "./processes.mjs";

const CALLS = 40;
const A_LOOK_MAX = 12;
const A_PAGE = 25;

describe("the history's thumbnails", () => {
  let at;

  before(async () => {
    at = await pageInstallation({ account: { requests_per_minute: 6000 } });
    for (let made = 0; made < CALLS; made += 1)
      assert.equal((await kept(at.keys.design, `once-${made}`)).status, 200);
  });

  after(() => at.place.remove(Object.values(at.keys).map((key) => key.split("_").at(-1))));

  /** A call whose answer is kept, since its caller may ask for it again. */
  const kept = (credential, name) =>
    fetch(`${at.url}/api/v1/flux/dev`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${credential}`,
        "content-type": "application/json",
        "idempotency-key": name,
      },
      body: JSON.stringify({ prompt: "a lighthouse" }),
    });

  async function visiting(look, options = {}) {
    const visit = await Visit.open(at.url, options);
    await look(visit, visit.page);
    await visit.close();
  }

  /** The ids of the calls whose answers the page has asked for. */
  const OF_ONE = /\/gateway\/v1\/requests\/([0-9a-f]{32})$/;
  const fetched = (visit) => visit.asked.flatMap(({ url }) => OF_ONE.exec(url)?.[1] ?? []);

  const rows = (visit) => visit.card("Your team's calls").locator("tbody tr");
  const thumbnails = (visit) => rows(visit).getByRole("img");
  const shown = (visit, number) =>
    until(`${number} thumbnails`, async () => (await thumbnails(visit).count()) >= number);

  /** Goes to the end of the page, past every row. */
  const passAll = async (visit) => {
    const all = await rows(visit).count();
    for (let row = 0; row < all; row += 1) await rows(visit).nth(row).scrollIntoViewIfNeeded();
  };

  /** Waits until the page has asked for everything anew, and so for whatever it still wanted. */
  const settled = async (visit) => {
    const isList = ({ url }) => url.endsWith("/gateway/v1/requests");
    const lists = () => visit.asked.filter(isList).length;
    const before = lists();
    await visit.go("Overview");
    await visit.go("History");
    await until("the page has asked again", () => lists() > before);
  };

  test("a picture in sight comes straight from its address", () =>
    visiting(
      async (visit) => {
        await visit.signedIn(at.keys.design);
        assert.deepEqual(fetched(visit), [], "nothing kept is in sight on the overview");
        await visit.go("History");
        await shown(visit, 3);
        const first = thumbnails(visit).first();
        const width = () => first.evaluate((image) => image.naturalWidth);
        await until("it is a picture", async () => (await width()) === 1024);
        const address = await first.getAttribute("src");
        assert.ok(!address.startsWith(at.url), `${address} is not the gateway's`);
        const asked = visit.asked.find(({ url }) => url === address);
        assert.ok(!asked.headers.authorization && !asked.headers.referer);
        const newest = (await generations()).map(({ id }) => id);
        const before = fetched(visit);
        assert.deepEqual(before, newest.slice(0, before.length), "the newest first");
        await settled(visit);
        assert.equal(new Set(fetched(visit)).size, fetched(visit).length, "each once");
        assert.ok(fetched(visit).length < A_LOOK_MAX, "rows out of sight are not fetched");
      },
      { viewport: { width: 1280, height: 560 } },
    ));

  test("an answer that failed is not asked for again", () =>
    visiting(
      async (visit, page) => {
        const [gone, ...others] = (await generations()).map(({ id }) => id);
        const fails = (route) => route.fulfill({ status: 404 });
        await page.route(`**/gateway/v1/requests/${gone}`, fails);
        await visit.signedIn(at.keys.design);
        await visit.go("History");
        await until("it was asked for", () => fetched(visit).includes(gone));
        await shown(visit, 3);
        await settled(visit);
        await page.getByRole("button", { name: "Older" }).click();
        await visit.sees(`26 to 40 of ${CALLS}`);
        await page.getByRole("button", { name: "Newer" }).click();
        await visit.sees(rows(visit).nth(A_PAGE - 1));
        await passAll(visit);
        await until("those below it were asked for", () => fetched(visit).includes(others[10]));
        assert.equal(fetched(visit).filter((id) => id === gone).length, 1);
      },
      { viewport: { width: 1280, height: 560 } },
    ));

  const generations = async () => {
    const headers = { authorization: `Bearer ${at.keys.design}` };
    const answer = await fetch(`${at.url}/api/generations?limit=${A_PAGE}`, { headers });
    return (await answer.json()).generations;
  };

  test("a look at a page fetches a dozen at most", () =>
    visiting(
      async (visit, page) => {
        await visit.signedIn(at.keys.design);
        await visit.go("History");
        await visit.sees(rows(visit).nth(A_PAGE - 1));
        await passAll(visit);
        await shown(visit, A_LOOK_MAX);
        assert.equal(fetched(visit).length, A_LOOK_MAX);
        await page.getByRole("button", { name: "Older" }).click();
        await visit.sees(`26 to 40 of ${CALLS}`);
        await passAll(visit);
        await shown(visit, A_LOOK_MAX);
        assert.equal(fetched(visit).length, 2 * A_LOOK_MAX);
        await page.getByRole("button", { name: "Newer" }).click();
        await visit.sees(`1 to 25 of ${CALLS}`);
        await shown(visit, A_LOOK_MAX);
        await passAll(visit);
        await shown(visit, A_PAGE - 1);
        assert.equal(new Set(fetched(visit)).size, fetched(visit).length, "each once");
        const isMedia = ({ kind, url }) => kind === "image" && !url.endsWith("/moon.svg");
        for (const { url } of visit.asked.filter(isMedia)) assert.ok(!url.startsWith(at.url), url);
      },
      { viewport: { width: 1280, height: 560 } },
    ));

  test("large answers and failed ones are left to be fetched", () =>
    visiting(async (visit, page) => {
      const [large, failed, fine] = (await generations()).map(({ id }) => id);
      await page.route("**/gateway/v1/requests", async (route) => {
        const answer = await route.fetch();
        const { requests } = await answer.json();
        for (const call of requests) {
          if (call.callId === large) call.answerBytes = 64 * 1024 + 1;
          if (call.callId === failed) call.outcome = "failed";
        }
        return route.fulfill({ response: answer, json: { requests } });
      });
      await visit.signedIn(at.keys.design);
      await visit.go("History");
      await shown(visit, 1);
      await until("the third is shown", async () => fetched(visit).includes(fine));
      assert.ok(!fetched(visit).includes(large) && !fetched(visit).includes(failed));
      assert.equal(await rows(visit).nth(0).getByRole("img").count(), 0);
      await page.getByRole("button", { name: `Fetch the answer of ${large}` }).click();
      await visit.sees(rows(visit).nth(0).getByRole("img"));
    }));

  test("an address of no picture shows nothing", () =>
    visiting(async (visit, page) => {
      const HTML = "<img src=x onerror=alert(1)>";
      const [odd, scripted, fine] = (await generations()).map(({ id }) => id);
      const named = { [odd]: HTML, [scripted]: "javascript:alert(1)" };
      await page.route("**/gateway/v1/requests/*", async (route) => {
        const answer = await route.fetch();
        const call = await answer.json();
        if (named[call.callId]) call.answer = { images: [{ url: named[call.callId] }] };
        return route.fulfill({ response: answer, json: call });
      });
      await visit.signedIn(at.keys.design);
      await visit.go("History");
      await shown(visit, 1);
      await until("they were asked for", () =>
        [odd, scripted, fine].every((id) => fetched(visit).includes(id)),
      );
      await visit.sees(rows(visit).nth(2).getByRole("img"));
      for (const row of [0, 1])
        assert.equal(await rows(visit).nth(row).getByRole("img").count(), 0);
    }));

  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing beside thumbnails, ${colorScheme}`, () =>
      visiting(
        async (visit, page) => {
          await visit.signedIn(at.keys.design);
          await visit.go("History");
          await shown(visit, 3);
          await visit.isAccessible("the history with thumbnails");
          await page.setViewportSize({ width: 360, height: 740 });
          await visit.fits("the history with thumbnails, on a phone");
        },
        { colorScheme, bypassCSP: true, reducedMotion: "reduce" },
      ));
  }
});
