// The published client against `moongate demo`: what a newcomer does first.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { createFiremoon } from "@firemoon/ai-provider";
import { generateImage } from "ai";

import { jpegSize, recording } from "./pictures.mjs";
import { MOONGATE, Program } from "./processes.mjs";

const run = promisify(execFile);

describe("moongate demo and the published client", () => {
  let demo, keys, baseURL, operator, books, curl;

  before(async () => {
    demo = new Program(MOONGATE, ["demo", "--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0", "--access-log"]);
    await demo.says(/Ctrl-C/);
    const said = (pattern) => pattern.exec(demo.said)?.[1] ?? assert.fail(`no ${pattern} in:\n${demo.said}`);
    keys = { design: said(/team design\s+key (\S+)/), growth: said(/team growth\s+key (\S+)/) };
    baseURL = said(/teams call\s+(\S+)/);
    operator = said(/(http:\S+)\/metrics/);
    books = said(/(http:\S+\/_simulator\/books)/);
    curl = said(/^\s*(curl .+)$/m);
  });

  after(async () => {
    assert.equal(await demo.stop(), 0);
    for (const key of Object.values(keys)) {
      const secret = key.split("_").at(-1);
      const lines = demo.said.split("\n").filter((line) => line.startsWith("{") && line.includes(secret));
      assert.deepEqual(lines, [], "no log line holds a key");
    }
  });

  const seen = async () => (await fetch(books)).json();
  const image = (key, model, options = {}) =>
    createFiremoon({ apiKey: key, baseURL, ...options }).image(model);

  test("six pictures in one call arrive as six whole files", async () => {
    const start = (await seen()).executed;
    const result = await generateImage({
      model: image(keys.design, "flux/dev"),
      prompt: "a lighthouse at dusk",
      n: 6,
      aspectRatio: "9:16",
    });
    assert.equal(result.images.length, 6);
    for (const picture of result.images) assert.deepEqual(jpegSize(picture.uint8Array), [576, 1024]);
    assert.deepEqual(result.warnings, []);
    const { executed, calls, unknown_credentials } = await seen();
    assert.equal(executed - start, 2, "four and two");
    assert.deepEqual(calls.slice(-2).map((call) => call.path), ["/api/v1/flux/dev", "/api/v1/flux/dev"]);
    assert.equal(unknown_credentials, 0, "Firemoon never saw a team's key");
  });

  test("a base URL with a slash at its end works as well", async () => {
    const model = image(keys.design, "flux/schnell", { baseURL: `${baseURL}/` });
    const { images } = await generateImage({ model, prompt: "a lighthouse", n: 1 });
    assert.deepEqual(jpegSize(images[0].uint8Array), [1024, 768]);
  });

  test("the printed curl line, run as it is printed, generates a picture", async () => {
    const { stdout } = await run("bash", ["-c", curl]);
    const answer = JSON.parse(stdout);
    assert.equal(answer.images.length, 1, stdout);
    const picture = await fetch(answer.images[0].url);
    jpegSize(new Uint8Array(await picture.arrayBuffer()));
  });

  test("the client prints the gateway's own words when it is refused", async () => {
    const rows = [
      [keys.growth, "flux/pro", 403, "Your team may not use the model flux/pro"],
      [keys.growth, "kling/kling-2-1-master", 403, "Your team may not use the model kling/kling-2-1-master"],
      [keys.design, "flux/none", 404, "Model configuration not found for flux/none: the operators of this gateway have set no price for it"],
      [`${keys.design}x`, "flux/dev", 401, "The credential is not valid for this gateway"],
    ];
    for (const [key, model, status, message] of rows) {
      const call = generateImage({ model: image(key, model), prompt: "a lighthouse", maxRetries: 0 });
      await assert.rejects(call, (error) => {
        assert.deepEqual([error.statusCode, error.message], [status, message]);
        return true;
      });
    }
  });

  test("over its rate the client learns when to come back", async () => {
    const { fetch: recorded, answers } = recording(baseURL);
    const model = image(keys.growth, "flux/schnell", { fetch: recorded });
    const call = () => generateImage({ model, prompt: "a lighthouse", maxRetries: 0 });
    const ended = await Promise.allSettled(Array.from({ length: 7 }, call));
    const refusals = ended.filter((call) => call.status === "rejected").map((call) => call.reason);
    assert.equal(refusals.length, 1, "six a minute");
    const [refused] = refusals;
    assert.equal(refused.statusCode, 429);
    assert.match(refused.message, /^Rate limit exceeded\. Try again in \d+ seconds\.$/);
    const { headers, text } = answers.find((answer) => answer.status === 429);
    const body = JSON.parse(text);
    assert.equal(body.code, "rate_limited");
    assert.equal(`Rate limit exceeded. Try again in ${headers["retry-after"]} seconds.`, body.message);
    assert.ok(Date.parse(body.resetAt) > Date.now());
    assert.equal(headers["x-ratelimit-limit"], "6");
    assert.equal(headers["x-error-source"], "policy");
    for (const answer of answers) assert.doesNotMatch(answer.text + JSON.stringify(answer.headers), /mgk_|Bearer \S/);
  });

  test("what the teams did stands in the metrics, by team and model", async () => {
    const page = await (await fetch(`${operator}/metrics`)).text();
    // Whatever order the labels stand in.
    const value = (name, labels) => {
      const wanted = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
      const fits = (line) => line.startsWith(`${name}{`) && wanted.every((label) => line.includes(label));
      return Number(page.split("\n").find(fits)?.split(" ").at(-1));
    };
    assert.ok(value("moongate_team_images_total", { team: "design", model: "flux/dev" }) >= 7);
    assert.ok(value("moongate_refusals_total", { team: "growth", reason: "model_not_allowed", source: "policy" }) >= 2);
    for (const key of Object.values(keys)) assert.ok(!page.includes(key));
    assert.equal((await fetch(`${operator}/readyz`)).status, 200);
  });
});
