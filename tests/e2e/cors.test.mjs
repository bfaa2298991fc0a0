// A web page of another origin in a real browser: a named one may call and read every header, any
// other reads nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, describe, test } from "node:test";

import { chromium } from "playwright-core";

import { pageInstallation } from "./page.mjs";

/** A page on an origin of its own. */
async function site() {
  const server = http.createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end("<!doctype html><title>studio</title>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

/**
 * Calls from the page, as its script would: what it can read of the answer, or that it can read
 * nothing.
 */
const call = ({ url, key }) =>
  fetch(`${url}/api/v1/flux/dev`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${key}`,
      "content-type": "application/json",
      "idempotency-key": crypto.randomUUID(),
    },
    body: JSON.stringify({ prompt: "a lighthouse" }),
  }).then(
    async (answer) => ({
      status: answer.status,
      body: await answer.json(),
      headers: Object.fromEntries(answer.headers),
    }),
    (error) => ({ failed: error.message }),
  );

describe("pages of other origins", () => {
  let at, studio, stranger, browser;

  before(async () => {
    [studio, stranger] = await Promise.all([site(), site()]);
    at = await pageInstallation({
      listen: { address: "127.0.0.1:0", cors: { origins: [studio.origin] } },
    });
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: process.getuid() === 0 ? ["--no-sandbox"] : [],
    });
  });

  after(async () => {
    await browser?.close();
    for (const { server } of [studio, stranger]) server.close();
    await at.place.remove(Object.values(at.keys).map((key) => key.split("_").at(-1)));
  });

  async function from(origin, key) {
    const page = await browser.newPage();
    await page.goto(origin);
    const read = await page.evaluate(call, { url: at.url, key });
    await page.close();
    return read;
  }

  test("a named origin generates and reads cost, limits and ids", async () => {
    const { status, body, headers } = await from(studio.origin, at.keys.design);
    assert.equal(status, 200);
    assert.equal(body.images.length, 1);
    const read = ["x-credits-cost", "x-credits-remaining", "x-request-id", "x-call-id", "ratelimit"];
    for (const name of read) assert.ok(headers[name], `${name} in ${JSON.stringify(headers)}`);
  });

  test("a named origin reads why it is refused", async () => {
    const { status, body, headers } = await from(studio.origin, "mgk_nobody");
    assert.deepEqual([status, body.code], [401, "credential_invalid"]);
    assert.equal(headers["x-error-source"], "caller");
  });

  test("another origin reads nothing and spends nothing", async () => {
    const me = () =>
      fetch(`${at.url}/gateway/v1/me`, { headers: { "x-api-key": at.keys.growth } }).then((answer) =>
        answer.json(),
      );
    const read = await from(stranger.origin, at.keys.growth);
    assert.deepEqual(read, { failed: "Failed to fetch" });
    const { limits } = await me();
    assert.deepEqual([...new Set(limits.map((limit) => Number(limit.used)))], [0]);
  });
});
