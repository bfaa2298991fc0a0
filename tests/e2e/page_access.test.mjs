// The team page for everyone: by keyboard, for screen readers, in light and dark, on a phone.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Visit } from "./browser.mjs";
import { pageInstallation } from "./page.mjs";

const VIEWS = ["Overview", "Generate", "History", "Code"];

describe("the team page is for everyone", () => {
  let at;

  before(async () => {
    at = await pageInstallation();
    await at.place.faults([{ fault: "generation_failed", times: 1 }]);
    for (let made = 0; made < 4; made += 1) await at.generate(at.keys.design);
    await at.generate(at.keys.design, { prompt: "waves", duration: "5" }, "kling/kling-2-1-master");
  });

  after(async () => {
    await at.place.remove(Object.values(at.keys).map((key) => key.split("_").at(-1)));
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing on any view, ${colorScheme}`, async () => {
      // Its probes are not the page's own doing.
      const visit = await Visit.open(at.url, {
        colorScheme,
        bypassCSP: true,
        reducedMotion: "reduce",
      });
      const { page } = visit;
      await visit.isAccessible("the form");
      await visit.signIn("mgk_nobody");
      await visit.sees("The credential is not valid for this gateway");
      await visit.isAccessible("the form with its refusal");
      await visit.signedIn(at.keys.design);
      await visit.sees(visit.card("Spend").getByRole("rowheader", { name: "flux/dev" }));
      await visit.isAccessible("Overview");
      await visit.go("Generate");
      await page.getByRole("button", { name: "Generate" }).click();
      await visit.sees("Say what the picture shows.");
      await visit.isAccessible("Generate with a mistake");
      await page.getByLabel("Prompt").fill("a lighthouse");
      await page.getByRole("button", { name: "Generate" }).click();
      await visit.sees(visit.card("Made on this page").getByRole("img"));
      await visit.sees("May be made now");
      await visit.isAccessible("Generate");
      await visit.go("History");
      await page
        .getByRole("button", { name: /Show details/ })
        .first()
        .click();
      await visit.isAccessible("History");
      await visit.go("Code");
      await visit.isAccessible("Code");
      await visit.close();
    });
  }

  test("everything is done by keyboard alone", async () => {
    const visit = await Visit.open(at.url);
    const { page } = visit;
    const focused = () =>
      page.evaluate(() =>
        (document.activeElement.labels?.[0] ?? document.activeElement).innerText.trim(),
      );
    /** Goes on by the tabulator until this has the focus. */
    const reach = async (name) => {
      const passed = [];
      for (let step = 0; step < 40; step += 1) {
        await page.keyboard.press("Tab");
        passed.push(await focused());
        if (passed.at(-1) === name) return;
      }
      assert.fail(`${name} is not among ${passed.join(", ")}`);
    };
    visit.credentials.push(at.keys.design);
    assert.equal(await focused(), "Your team's credential", "the form has the focus");
    await page.keyboard.type(at.keys.design);
    await page.keyboard.press("Enter");
    await visit.sees(visit.heading("Overview"));
    await reach("Generate");
    await page.keyboard.press("Enter");
    await visit.sees(visit.heading("Generate"));
    const heading = await page.evaluate(() => document.activeElement.outerHTML);
    assert.match(heading, /^<h1.*Generate/, "the heading of the new view has the focus");
    await reach("Prompt");
    await page.keyboard.type("a lighthouse at dusk");
    await reach("Generate");
    await page.keyboard.press("Enter");
    await visit.sees(visit.card("Made on this page").getByRole("img"));
    await page.keyboard.press("Shift+Tab");
    await visit.close();
  });

  test("on a phone nothing is wider than the window", async () => {
    const visit = await Visit.open(at.url, {
      viewport: { width: 360, height: 740 },
      isMobile: true,
      hasTouch: true,
    });
    const { page } = visit;
    await visit.fits("the form");
    await visit.signedIn(at.keys.design);
    for (const view of VIEWS) {
      await visit.go(view);
      await visit.sees(
        view === "Overview"
          ? visit.card("Spend").getByRole("rowheader").first()
          : visit.heading(view),
      );
      if (view === "History")
        await page
          .getByRole("button", { name: /Show details/ })
          .first()
          .click();
      await visit.fits(view);
    }
    await visit.close();
  });

  test("numbers stand at the right of their columns", async () => {
    const visit = await Visit.open(at.url);
    await visit.signedIn(at.keys.design);
    await visit.sees(visit.card("Spend").getByRole("rowheader", { name: "flux/dev" }));
    assert.ok((await visit.alignsNumbers("Overview")) >= 8);
    await visit.go("History");
    await visit.sees(visit.card("Your team's calls").getByRole("row").nth(4));
    assert.ok((await visit.alignsNumbers("History")) >= 8);
    await visit.close();
  });

  test("times are the reader's, with the team's beside them", async () => {
    const visit = await Visit.open(at.url, { timezoneId: "Asia/Tokyo" });
    await visit.signedIn(at.keys.design);
    await visit.sees("the team's days and months begin in America/New_York");
    const [time] = await visit.card("Budget").locator("time").all();
    const reset = new Date(await time.getAttribute("datetime"));
    const shown = (timeZone) =>
      new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" }).format(
        reset,
      );
    assert.equal(shown("America/New_York"), "00:00");
    const text = await time.innerText();
    assert.ok(text.includes(shown("Asia/Tokyo")) && text.includes("00:00 New York"), text);
    await visit.close();
  });
});
