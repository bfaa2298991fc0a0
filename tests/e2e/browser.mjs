// A real browser that looks at a page, and at all that the page must never do: ask elsewhere, store
// a credential, break its own policy.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { after } from "node:test";

import { chromium } from "playwright-core";

export const PATIENCE_MS = 30_000;
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/**
 * Where the pages' files are taken from instead of the program, so that nothing need be built to
 * try a change of them.
 */
const FILES = process.env.MOONGATE_PAGES;
const PLACES = /^\/(gateway\/ui|console)\//;

let browser;
after(() => browser?.close());

async function launched() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  // Without a sandbox of its own where it runs as root.
  browser ??= await chromium.launch({
    executablePath,
    args: process.getuid() === 0 ? ["--no-sandbox"] : [],
  });
  return browser;
}

async function fromDisk(route) {
  const name = new URL(route.request().url()).pathname.replace(PLACES, "");
  const types = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
  await route.fulfill({ path: path.join(FILES, name), contentType: types[name.split(".").at(-1)] });
}

/** What the form of each page asks for. */
const CREDENTIAL = /^(Your team's credential|Operator's token)$/;

/** A page of its own, watched from its first request. `at` is its path, without the first slash. */
export class Visit {
  static async open(origin, { at = "", ...options } = {}) {
    const visit = new Visit();
    const how = {
      viewport: { width: 1280, height: 900 },
      timezoneId: "Europe/Berlin",
      locale: "en-GB",
      ...options,
    };
    visit.context = await (await launched()).newContext(how);
    if (FILES) await visit.context.route(/\/(gateway\/ui|console)\/(?!vendor)/, fromDisk);
    visit.page = await visit.context.newPage();
    visit.page.setDefaultTimeout(PATIENCE_MS);
    Object.assign(visit, { origin, wrong: [], asked: [], credentials: [] });
    visit.page.on("pageerror", (error) => visit.wrong.push(`error: ${error.stack}`));
    visit.page.on(
      "console",
      (message) =>
        /Content Security Policy|TrustedHTML|violates/i.test(message.text()) &&
        visit.wrong.push(message.text()),
    );
    visit.page.on("request", (request) =>
      visit.asked.push({
        url: request.url(),
        kind: request.resourceType(),
        headers: request.headers(),
      }),
    );
    await visit.page.addInitScript(() => {
      globalThis.violations = [];
      document.addEventListener("securitypolicyviolation", (event) =>
        globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI}`),
      );
    });
    await visit.page.goto(`${origin}/${at}`);
    return visit;
  }

  /** Signs in as somebody would: with the credential typed into the form. */
  async signIn(credential) {
    this.credentials.push(credential);
    await this.page.getByLabel(CREDENTIAL).fill(credential);
    await this.page.getByRole("button", { name: "Sign in" }).click();
  }

  async signedIn(credential) {
    await this.signIn(credential);
    await this.sees(this.heading("Overview"));
  }

  heading(name) {
    return this.page.getByRole("heading", { level: 1, name });
  }

  async go(view) {
    await this.page
      .getByRole("navigation", { name: "Views" })
      .getByRole("link", { name: view, exact: true })
      .click();
    await this.sees(this.heading(view));
  }

  card(title) {
    return this.page.getByRole("region", { name: title });
  }

  sees(what, options = {}) {
    return (
      typeof what === "string" || what instanceof RegExp ? this.page.getByText(what).first() : what
    ).waitFor({
      state: "visible",
      timeout: PATIENCE_MS,
      ...options,
    });
  }

  /** Waits until this is nowhere on the page any more. */
  gone(text) {
    const condition = (wanted) => !document.body.innerText.includes(wanted);
    return this.page.waitForFunction(condition, text, { timeout: 2 * PATIENCE_MS });
  }

  /**
   * From now on the page's time is the test's: see `pass`. Whoever was signed in is not any more.
   */
  async holdsTime() {
    await this.page.clock.install();
    await this.page.reload();
  }

  /** Lets time pass in the page, faster than here; what it asks is answered meanwhile. */
  async pass(seconds) {
    for (let second = 0; second < seconds; second += 1) {
      await this.page.clock.runFor(1000);
      await this.page.evaluate(() =>
        fetch(document.querySelector("header img").src).then((answer) => answer.text()),
      );
    }
  }

  /** The page's tab is put behind others, or before them. */
  isHidden(hidden) {
    return this.page.evaluate((now) => {
      Object.defineProperty(document, "hidden", { value: now, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  }

  async text() {
    return this.page.locator("body").innerText();
  }

  /** Fails when axe finds anything. */
  async isAccessible(where) {
    // Its own way in, which the page's policy does not concern.
    await this.page.evaluate(await readFile(AXE, "utf8"));
    const { violations } = await this.page.evaluate(() =>
      globalThis.axe.run(document, { resultTypes: ["violations"] }),
    );
    const told = violations.map(
      ({ id, help, nodes }) =>
        `${id}: ${help}\n    ${nodes.map(({ html, any }) => `${html} ${any.map((check) => check.message)}`).join("\n    ")}`,
    );
    assert.deepEqual(told, [], `axe at ${where}`);
  }

  /**
   * Fails when a cell with nothing but a number stands elsewhere than at the right of its column;
   * gives how many there are.
   */
  async alignsNumbers(where) {
    const cells = await this.page.evaluate(() =>
      [...document.querySelectorAll("td")]
        .filter((cell) => /^[\d.,]+( (%|ms|s))?$/.test(cell.innerText.trim()))
        .map((cell) => [cell.innerText, getComputedStyle(cell).textAlign]),
    );
    assert.deepEqual(cells.filter(([, align]) => align !== "right"), [], where);
    return cells.length;
  }

  /** Fails when the page is wider than the window. */
  async fits(where) {
    const [wide, room, beyond] = await this.page.evaluate(async () => {
      // A new width is taken up with the next frame.
      const frame = () => new Promise((drawn) => requestAnimationFrame(drawn));
      await frame();
      await frame();
      // Not by `innerWidth`: a phone makes that as wide as the page.
      const { scrollWidth, clientWidth } = document.documentElement;
      const elements = [...document.querySelectorAll("body *")].filter(
        (element) => element.getBoundingClientRect().right > clientWidth + 1,
      );
      return [scrollWidth, clientWidth, elements.map(({ outerHTML }) => outerHTML.slice(0, 120))];
    });
    assert.ok(wide <= room, `${where} is ${wide} wide in ${room}: ${beyond.slice(0, 3).join("\n")}`);
  }

  /** Fails when the page did what it must never do; then closes it. */
  async close() {
    const found = await this.page.evaluate(async () => ({
      violations: globalThis.violations,
      stored: JSON.stringify([
        { ...localStorage },
        { ...sessionStorage },
        document.cookie,
        (await indexedDB.databases()).length,
        (await caches.keys()).length,
      ]),
      address: location.href,
    }));
    assert.deepEqual(
      [...this.wrong, ...found.violations],
      [],
      "no error, and nothing against the policy",
    );
    assert.equal(found.stored, '[{},{},"",0,0]', "nothing is stored");
    for (const { url, kind, headers } of this.asked) {
      const isMedia = ["image", "media"].includes(kind);
      assert.ok(
        url.startsWith(`${this.origin}/`) || isMedia || url.startsWith("data:"),
        `asked ${url}`,
      );
      if (isMedia) assert.ok(!headers.authorization && !headers.referer, `told ${url} who asks`);
      for (const credential of this.credentials)
        assert.ok(!url.includes(credential), "a credential in an address");
    }
    for (const credential of this.credentials)
      assert.ok(!found.address.includes(credential), "a credential in the address");
    // A request that a test answers in the page's place may still be on its way.
    for (const place of [this.context, ...this.context.pages()])
      await place.unrouteAll({ behavior: "ignoreErrors" });
    await this.context.close();
  }
}
