// The console as operators use it, in Chromium: signing in, seeing every team, and changing what
// may be changed.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Visit } from "./browser.mjs";
import { OPS, WATCH, consoleInstallation } from "./console.mjs";
import { until } from "./processes.mjs";

const HTML = "<img src=x onerror=alert(1)><b>eve</b>";

describe("the console", () => {
  let at;
  const secrets = [OPS, WATCH];

  before(async () => {
    at = await consoleInstallation();
    for (const user of ["ana", "ana", "ana", "ana", "ana", "ben", HTML])
      await at.generate(await at.token(user));
    await at.generate(at.keys.growth, { prompt: "a lighthouse", num_images: 2 });
  });

  after(() => at.place.remove([...at.keySecrets, ...secrets]));

  /** A visit that ends with its test, whatever comes of it. */
  async function visiting(token, look, options = {}) {
    const visit = await Visit.open(at.place.operator, { at: "console", ...options });
    if (token) await visit.signedIn(token);
    await look(visit, visit.page);
    await visit.close();
  }

  /** Opens a team from the list of all. */
  async function team(visit, name) {
    await visit.go("Teams");
    await visit.card("Limits and spend").getByRole("link", { name, exact: true }).click();
    await visit.sees(visit.heading(name));
    await visit.sees(visit.card("Users and keys"));
  }

  const dialog = (visit) => visit.page.getByRole("dialog");
  const confirm = (visit, name) => dialog(visit).getByRole("button", { name, exact: true }).click();

  test("a wrong token is told so, a right one sees everything", () =>
    visiting(null, async (visit, page) => {
      await visit.signIn("nobody");
      await visit.sees(page.getByRole("alert"));
      assert.match(await page.getByRole("alert").innerText(), /credential|token/i);
      await visit.signedIn(OPS);
      await visit.sees(page.getByRole("banner").getByText("ops", { exact: true }));
      await visit.sees(visit.card("Spend by team, this month").getByRole("link", { name: "growth" }));
      await visit.sees(visit.card("Health").getByText("Ready", { exact: true }));
      await visit.sees(visit.card("Refusals by reason").getByText("A budget would be passed"));
      const { totals } = await at.api("usage?period=month");
      await visit.sees(visit.card("Spend this month").getByText(String(totals.cost)));
      await page.getByRole("button", { name: "Sign out" }).click();
      await visit.sees("You are signed out");
      assert.equal(await page.getByLabel("Operator's token").inputValue(), "");
    }));

  test("the spend of a month's first day names each day once", () =>
    visiting(null, async (visit, page) => {
      await page.addInitScript(() => {
        globalThis.drawn = [];
        const draw = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function drawn(text, x, ...rest) {
          globalThis.drawn.push({ text, x });
          return draw.call(this, text, x, ...rest);
        };
      });
      await page.route(/admin\/v1\/usage/, async (route) => {
        const answer = await route.fetch();
        const report = await answer.json();
        const first = (row) => row.day && { day: `${row.day.slice(0, 8)}01` };
        const rows = report.rows.map((row) => ({ ...row, ...first(row) }));
        await route.fulfill({ response: answer, json: { ...report, rows } });
      });
      await page.reload();
      await visit.signedIn(WATCH);
      await visit.sees(visit.card("Spend this month").getByRole("img"));
      const drawn = await page.evaluate(() => globalThis.drawn);
      const isDay = ([, text]) => /^\d+ [A-Z]/.test(text);
      const days = new Map(drawn.map(({ text, x }) => [x, text]).filter(isDay));
      const numbers = [...days.values()].map((day) => Number.parseInt(day, 10));
      assert.deepEqual(numbers, [1, 2]);
    }));

  test("a token in the fragment is gone at once", () =>
    visiting(null, async (visit, page) => {
      visit.credentials.push(WATCH);
      await page.goto("about:blank");
      await page.goto(`${at.place.operator}/console#token=${WATCH}`);
      await visit.sees(visit.heading("Overview"));
      assert.equal(page.url(), `${at.place.operator}/console`);
      await page.goBack();
      assert.equal(page.url(), "about:blank", "and from what can be gone back to");
      await page.goForward();
      await visit.sees(page.getByLabel("Operator's token"));
    }));

  test("a token that only reads sees no way to change", () =>
    visiting(WATCH, async (visit, page) => {
      const buttons = async () => {
        const all = await page.getByRole("main").getByRole("button").allInnerTexts();
        return all.filter((text) => /suspend|resume|top up|make|rotate|revoke/i.test(text));
      };
      await visit.sees("looks only");
      await team(visit, "studio");
      await visit.sees(visit.card("Budget").getByText("credits left of"));
      assert.deepEqual(await buttons(), []);
      await team(visit, "design");
      await visit.sees(visit.card("Users and keys").getByRole("rowheader", { name: /ana/ }));
      assert.deepEqual(await buttons(), []);
      await visit.go("Keys");
      await visit.sees(visit.card("Gateway keys").getByRole("row").nth(1));
      assert.deepEqual(await buttons(), []);
    }));

  test("why Ana is refused stands beside her name", () =>
    visiting(WATCH, async (visit) => {
      await team(visit, "design");
      const ana = visit.card("Users and keys").getByRole("row").filter({ hasText: "ana" });
      await visit.sees(ana.getByText("Refused", { exact: true }));
      assert.match(await ana.innerText(), /Credits a day: used up, until .*New York/);
      await ana.getByRole("button", { name: "Show limits of ana" }).click();
      const limits = visit.page.getByRole("table", { name: "Limits of ana" });
      await visit.sees(limits.getByRole("row").filter({ hasText: "Credits a day" }));
      const ben = visit.card("Users and keys").getByRole("row").filter({ hasText: "ben" });
      await visit.sees(ben.getByText("May call"));
      const refused = visit.card("Refused lately").getByRole("row").filter({ hasText: "ana" });
      await visit.sees(refused.getByText("A budget would be passed").first());
      await visit.sees(refused.getByText("Credits a day of the user", { exact: true }).first());
    }));

  test("a key is made, rotated, revoked, and then refused", () =>
    visiting(OPS, async (visit, page) => {
      const calls = (secret) => at.place.me(secret).then((body) => body.code ?? body.team);
      const shown = async () => {
        const secret = await page.getByLabel("The key's secret", { exact: true }).innerText();
        secrets.push(secret.split("_").at(-1));
        await page.getByRole("button", { name: "I have kept it" }).click();
        await dialog(visit).waitFor({ state: "detached" });
        assert.ok(!(await visit.text()).includes(secret), "it is shown once");
        return secret;
      };
      await visit.go("Keys");
      await page.getByRole("button", { name: "Make a key" }).click();
      await page.getByLabel("Team", { exact: true }).selectOption("studio");
      await confirm(visit, "Make the key");
      await visit.sees("Give the key a name");
      await page.getByLabel("Name").fill("render farm");
      await visit.sees(/lets its holder call as\s+team studio/);
      await confirm(visit, "Make the key");
      const first = await shown();
      await visit.sees("Key render farm of team studio is made.");
      assert.equal(await calls(first), "studio");

      const row = visit.card("Gateway keys").getByRole("row").filter({ hasText: "render farm" });
      await row.getByRole("button", { name: /Rotate/ }).click();
      await visit.sees(/The old one is good for\s+1 d more/);
      await confirm(visit, "Rotate");
      const second = await shown();
      await visit.sees(row.getByText(/an older\s+secret is good until/));
      assert.notEqual(first, second);
      for (const secret of [first, second]) assert.equal(await calls(secret), "studio");

      await row.getByRole("button", { name: /Revoke/ }).click();
      await visit.sees("It cannot be undone");
      await confirm(visit, "Revoke the key");
      await visit.sees("Key render farm of team studio is revoked.");
      for (const secret of [first, second])
        await until("it is refused", async () => (await calls(secret)) === "credential_revoked");
      await visit.gone("mgk_" + first.split("_")[1]);
      await page.getByLabel("Revoked too").check();
      await visit.sees(row.getByText("Revoked", { exact: true }));
      await visit.go("Changes");
      await visit.sees(visit.card("What operators changed").getByText("Revoked", { exact: true }).first());
    }));

  test("a team is suspended and resumed after being asked", () =>
    visiting(OPS, async (visit, page) => {
      const status = async () => (await at.generate(at.keys.growth)).status;
      await team(visit, "growth");
      await page.getByRole("button", { name: "Suspend the team" }).click();
      await visit.sees(/Every new call of\s+team growth is refused/);
      await page.keyboard.press("Escape");
      await dialog(visit).waitFor({ state: "detached" });
      assert.equal(await status(), 200, "nothing happens by asking");
      await page.getByRole("button", { name: "Suspend the team" }).click();
      await confirm(visit, "Suspend the team");
      await visit.sees(/Team growth is\s+suspended: new calls are refused/);
      await visit.sees("Every call of the team is refused now");
      await until("it is refused", async () => (await status()) === 403);
      await page.getByRole("button", { name: "Resume the team" }).click();
      await confirm(visit, "Resume the team");
      await visit.sees(/Team growth may call again/);
      await until("it may call", async () => (await status()) === 200);
    }));

  test("one user is suspended and resumed, the others call on", () =>
    visiting(OPS, async (visit, page) => {
      const status = async (user) => (await at.generate(await at.token(user))).status;
      await team(visit, "design");
      await page.getByRole("button", { name: "Suspend ben" }).click();
      await visit.sees(/Every new call of\s+user ben of team design is refused/);
      await confirm(visit, "Suspend the user");
      await visit.sees(/User ben of design is\s+suspended/);
      await until("ben is refused", async () => (await status("ben")) === 403);
      assert.equal(await status("chloe"), 200);
      await page.getByRole("button", { name: "Resume ben" }).click();
      await confirm(visit, "Resume the user");
      await visit.sees(/User ben of design may call again/);
      await until("ben may call", async () => (await status("ben")) === 200);
    }));

  test("a prepaid budget is topped up to the credit", () =>
    visiting(OPS, async (visit, page) => {
      await team(visit, "studio");
      await visit.sees(visit.card("Budget").getByText("credits left of 12.50"));
      await page.getByRole("button", { name: "Top up" }).click();
      await page.getByLabel("Credits to add").fill("-3");
      await confirm(visit, "Top up");
      await visit.sees("Credits must be a number above 0");
      await page.getByLabel("Credits to add").fill("7.000001");
      await page.getByLabel("Reference").fill("invoice-7");
      await visit.sees(/from\s+12\.50\s+to\s+19\.500001\s+in all/);
      await confirm(visit, "Top up");
      await visit.sees(/7\.000001 credits are added for team studio: 19\.500001 in all now/);
      await visit.sees(visit.card("Budget").getByText("credits left of 19.500001"));
      const [{ max }] = (await at.api("teams/studio")).limits;
      assert.equal(String(max), "19.500001");
      await page.getByRole("button", { name: "Top up" }).click();
      await page.getByLabel("Credits to add").fill("7.000001");
      await page.getByLabel("Reference").fill("invoice-7");
      await confirm(visit, "Top up");
      await visit.sees(/Nothing was added: invoice-7 was added before/);
    }));

  test("what cannot be done says why and stays open", () =>
    visiting(OPS, async (visit, page) => {
      await visit.go("Keys");
      await page.getByRole("button", { name: "Make a key" }).click();
      await page.getByLabel("Name").fill("wrong models");
      await page.getByLabel(/^Models/).fill("!");
      await confirm(visit, "Make the key");
      await visit.sees(dialog(visit).getByRole("alert"));
      assert.match(await dialog(visit).innerText(), /is no model id/);
      await confirm(visit, "Cancel");
      await dialog(visit).waitFor({ state: "detached" });
      const { keys } = await at.api("keys");
      assert.ok(!keys.some(({ name }) => name === "wrong models"));
    }));

  test("names with HTML in them are shown as text", () =>
    visiting(OPS, async (visit, page) => {
      await at.api("keys", { team: "growth", name: HTML, user: HTML });
      await visit.go("Keys");
      await visit.sees(visit.card("Gateway keys").getByText(HTML, { exact: true }));
      await page.getByRole("button", { name: `Revoke key ${HTML}` }).click();
      await visit.sees(dialog(visit).getByText(HTML, { exact: true }));
      await confirm(visit, "Cancel");
      await team(visit, "design");
      await visit.sees(visit.card("Users and keys").getByText(HTML, { exact: true }).first());
      await visit.sees(visit.card("Latest calls").getByText(HTML, { exact: true }).first());
      await visit.go("Changes");
      await visit.sees(visit.card("What operators changed").getByText(HTML).last());
      assert.equal(await page.locator("main img, main b").count(), 0);
    }));
});
