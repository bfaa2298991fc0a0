// The console for everyone: by keyboard, for screen readers, in light and dark, on a phone.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Visit } from "./browser.mjs";
import { OPS, WATCH, consoleInstallation } from "./console.mjs";

/** Each view, and what stands in it once it is there. */
const VIEWS = {
  Overview: ["Spend by team, this month", "growth"],
  Teams: ["Limits and spend", "studio"],
  Keys: ["Gateway keys", "laptop"],
  Queue: ["Room on the shared account", "a minute"],
  "Shared keys": ["Keys at Firemoon", "primary"],
  Changes: ["What operators changed", "render farm"],
  "Find a call": ["By its id", "Call id or request id"],
};

describe("the console is for everyone", () => {
  let at;

  before(async () => {
    at = await consoleInstallation();
    for (const user of ["ana", "ana", "ana", "ana", "ana", "ben"])
      await at.generate(await at.token(user));
    await at.generate(at.keys.growth);
    await at.api("teams/design/suspend", { user: "ben" });
    const { key } = await at.api("keys", { team: "studio", name: "render farm" });
    await at.api(`keys/${key.id}/rotate`, {});
  });

  after(() => at.place.remove([...at.keySecrets, OPS, WATCH]));

  async function open(options = {}) {
    const visit = await Visit.open(at.place.operator, { at: "console", ...options });
    return [visit, visit.page];
  }

  async function shows(visit, view) {
    await visit.go(view);
    const [card, text] = VIEWS[view];
    await visit.sees(visit.card(card).getByText(text).filter({ visible: true }).first());
  }

  async function design(visit) {
    await visit.go("Teams");
    await visit.card("Limits and spend").getByRole("link", { name: "design" }).click();
    await visit.sees(visit.card("Users and keys").getByText("ana", { exact: true }).first());
    await visit.sees(visit.card("Latest calls").getByText("flux/dev").first());
  }

  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing on any view, ${colorScheme}`, async () => {
      // Its probes are not the page's own doing.
      const [visit, page] = await open({ colorScheme, bypassCSP: true, reducedMotion: "reduce" });
      await visit.isAccessible("the form");
      await visit.signIn("nobody");
      await visit.sees(page.getByRole("alert"));
      await visit.isAccessible("the form with its refusal");
      await visit.signedIn(OPS);
      for (const view of Object.keys(VIEWS)) {
        await shows(visit, view);
        await visit.isAccessible(view);
      }
      await design(visit);
      await page.getByRole("button", { name: "Show limits of ana" }).click();
      await visit.isAccessible("a team");
      await page.getByRole("button", { name: "Suspend the team" }).click();
      await visit.sees(page.getByRole("dialog"));
      await visit.isAccessible("what is asked first");
      await page.keyboard.press("Escape");
      await visit.go("Keys");
      await page.getByRole("button", { name: "Make a key" }).click();
      await page.getByRole("button", { name: "Make the key" }).click();
      await visit.sees("Give the key a name");
      await visit.isAccessible("the form of a key, with a mistake");
      await page.getByLabel("Name").fill(`of ${colorScheme}`);
      await page.getByRole("button", { name: "Make the key" }).click();
      await visit.sees("This is the only time it is shown");
      await visit.isAccessible("a secret");
      await page.getByRole("button", { name: "I have kept it" }).click();
      await visit.sees("Done");
      await visit.isAccessible("what was done");
      await visit.close();
    });
  }

  test("a team is suspended by keyboard alone", async () => {
    const [visit, page] = await open();
    const focused = () =>
      page.evaluate(() =>
        (document.activeElement.labels?.[0] ?? document.activeElement).innerText.trim(),
      );
    /** Goes on by the tabulator until this has the focus. */
    const reach = async (name) => {
      const passed = [];
      for (let step = 0; step < 60; step += 1) {
        await page.keyboard.press("Tab");
        passed.push(await focused());
        if (passed.at(-1) === name) return page.keyboard.press("Enter");
      }
      return assert.fail(`${name} is not among ${passed.join(", ")}`);
    };
    visit.credentials.push(OPS);
    assert.equal(await focused(), "Operator's token", "the form has the focus");
    await page.keyboard.type(OPS);
    await page.keyboard.press("Enter");
    await visit.sees(visit.heading("Overview"));
    await reach("Teams");
    await visit.sees(visit.heading("Teams"));
    await visit.sees(visit.card("Limits and spend").getByText("studio"));
    await reach("studio");
    await visit.sees(visit.heading("studio"));
    await visit.sees(page.getByRole("button", { name: "Suspend the team" }));
    await reach("Suspend the team");
    await visit.sees(page.getByRole("dialog"));
    await reach("Suspend the team");
    await visit.sees("Every call of the team is refused now");
    await reach("Resume the team");
    await visit.sees(page.getByRole("dialog"));
    await reach("Resume the team");
    await visit.gone("Every call of the team is refused now");
    await visit.close();
  });

  test("numbers stand at the right of their columns", async () => {
    const [visit] = await open();
    await visit.signedIn(OPS);
    let numbers = 0;
    for (const view of Object.keys(VIEWS)) {
      await shows(visit, view);
      numbers += await visit.alignsNumbers(view);
    }
    await design(visit);
    numbers += await visit.alignsNumbers("a team");
    assert.ok(numbers >= 20, `${numbers} numbers`);
    await visit.close();
  });

  test("on a phone nothing is wider than the window", async () => {
    const viewport = { width: 360, height: 740 };
    const [visit, page] = await open({ viewport, isMobile: true, hasTouch: true });
    await visit.fits("the form");
    await visit.signedIn(OPS);
    for (const view of Object.keys(VIEWS)) {
      await shows(visit, view);
      await visit.fits(view);
    }
    // Its own way there: a click would bring the link into sight itself.
    await page.evaluate(() => (location.hash = "#overview"));
    await visit.sees(visit.heading("Overview"));
    const { x } = await page.locator("nav [aria-current=page]").boundingBox();
    assert.ok(x >= 0, "the open view stands in sight among the views");
    await page.setViewportSize({ width: 768, height: 1024 });
    await visit.fits("a window between a phone and a desk");
    await page.setViewportSize(viewport);
    await design(visit);
    await page.getByRole("button", { name: "Show limits of ana" }).click();
    await visit.fits("a team");
    await page.getByRole("button", { name: "Suspend ana" }).click();
    await visit.sees(page.getByRole("dialog"));
    await visit.fits("what is asked first");
    await visit.close();
  });
});
