// The published client against `moongate serve`, with a real Redis, a simulated Firemoon and tokens
// signed with RS256.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { createFiremoon } from "@firemoon/ai-provider";
import { generateImage } from "ai";
import { SignJWT, exportJWK, generateKeyPair } from "jose";

import { jpegSize, recording } from "./pictures.mjs";
import { MOONGATE, Program, folder, redis, until } from "./processes.mjs";

const SHARED_KEY = "fm_live_e2e_5d0c77a19b";
const ISSUER = "https://sso.example.com";

describe("moongate serve and the published client", () => {
  let place, store, firemoon, firemoonURL, gateway, baseURL, operator, privateKey, client;

  before(async () => {
    place = await folder();
    store = await redis(place.name);
    firemoon = new Program(MOONGATE, [
      "simulate", "--address", "127.0.0.1:0", "--media-address", "127.0.0.1:0", "--latency", "20ms", "--key", `shared=${SHARED_KEY}`,
    ]);
    firemoonURL = (await firemoon.says(/Firemoon simulator: (\S+)\/api\nMedia: /))[1];
    const pair = await generateKeyPair("RS256");
    privateKey = pair.privateKey;
    const key = { ...(await exportJWK(pair.publicKey)), kid: "e2e", alg: "RS256", use: "sig" };
    await writeFile(path.join(place.name, "jwks.json"), JSON.stringify({ keys: [key] }));
    await writeFile(path.join(place.name, "shared-key"), `${SHARED_KEY}\n`);
    await writeFile(path.join(place.name, "moongate.yaml"), configuration(await gatewayKey()));
    gateway = new Program(MOONGATE, ["serve", "--config", path.join(place.name, "moongate.yaml")]);
    const said = await gateway.says(/"msg":"listening".*"team":"([^"]+)","operator":"([^"]+)"/);
    baseURL = `http://${said[1]}/api`;
    operator = `http://${said[2]}`;
    await until("the gateway is ready", async () => (await fetch(`${operator}/readyz`)).status === 200);
    client = recording(baseURL);
  });

  after(async () => {
    const books = await (await fetch(`${firemoonURL}/_simulator/books`)).json();
    assert.equal(books.unknown_credentials, 0, "Firemoon never saw a team's credential");
    const metrics = await (await fetch(`${operator}/metrics`)).text();
    assert.equal(await gateway.stop(), 0);
    await firemoon.stop();
    await store.program.stop();
    await place.remove();
    for (const text of [gateway.said, metrics, JSON.stringify(client.answers)]) {
      assert.ok(!text.includes(SHARED_KEY), "the shared key left the gateway");
    }
    assert.doesNotMatch(gateway.said, /eyJ|panicked|lighthouse/, "no token, prompt or panic in the log");
  });

  let laptop;
  /**
   * Makes a gateway key as an operator would, and keeps it; gives the line for the configuration.
   */
  async function gatewayKey() {
    const { stdout } = await promisify(execFile)(MOONGATE, ["keys", "generate", "--team", "growth", "--name", "laptop", "--json"]);
    const made = JSON.parse(stdout);
    laptop = made.key;
    return JSON.stringify(made.entry);
  }

  const configuration = (key) => `
listen: { address: "127.0.0.1:0" }
admin: { address: "127.0.0.1:0" }
upstream:
  base_url: "${firemoonURL}/api"
  keys: [{ name: primary, secret: { file: shared-key } }]
ledger: { redis: { url: "${store.url}" } }
identity:
  issuers:
    - issuer: ${ISSUER}
      audiences: [moongate]
      algorithms: [RS256]
      jwks: { file: jwks.json }
      team_claim: /groups
      teams: { grp-design: design, grp-growth: growth }
  keys: [${key}]
teams:
  design: { models: ["*"], limits: { requests_per_minute: 6, credits_per_month: 400 } }
  growth: { models: ["flux/*"], limits: { requests_per_second: { limit: 1, burst: 1 }, credits_total: 0.175 } }
pricing: { models: { flux/dev: { per_image: 0.025 } } }
shutdown: { delay: 0s }
telemetry: { logs: json }
`;

  const token = (group) =>
    new SignJWT({ groups: ["staff", group] })
      .setProtectedHeader({ alg: "RS256", kid: "e2e" })
      .setIssuer(ISSUER)
      .setAudience("moongate")
      .setSubject("ann")
      .setIssuedAt()
      .setExpirationTime("5m")
      .sign(privateKey);
  const image = (credential) => createFiremoon({ apiKey: credential, baseURL, fetch: client.fetch }).image("flux/dev");

  test("with a token, six pictures arrive as six whole files", async () => {
    const { images } = await generateImage({ model: image(await token("grp-design")), prompt: "a lighthouse", n: 6 });
    assert.equal(images.length, 6);
    for (const picture of images) assert.deepEqual(jpegSize(picture.uint8Array), [1024, 768]);
    const costs = client.answers.map((answer) => answer.headers["x-credits-cost"]).sort();
    assert.deepEqual(costs, ["0.05", "0.1"]);
  });

  test("the client prints why the seventh call of a minute is refused", async () => {
    const model = image(await token("grp-design"));
    // Two of the six were used by the call before.
    for (let made = 2; made < 6; made += 1) await generateImage({ model, prompt: "a lighthouse" });
    const seventh = generateImage({ model, prompt: "a lighthouse", maxRetries: 0 });
    await assert.rejects(seventh, (error) => {
      assert.equal(error.statusCode, 429);
      assert.match(error.message, /^Rate limit exceeded\. Try again in \d+ seconds\.$/);
      assert.equal(error.responseHeaders["x-ratelimit-remaining"], "0");
      return true;
    });
  });

  test("a client over its rate waits and gets all its pictures", async () => {
    // The two calls behind six pictures are one too many for a team with one a second.
    const { images } = await generateImage({ model: image(laptop), prompt: "a lighthouse", n: 6 });
    assert.equal(images.length, 6);
    assert.ok(client.answers.some((answer) => answer.status === 429 && answer.headers["retry-after"] === "1"));
  });

  test("a team that cannot pay for four pictures still gets one", async () => {
    const pictures = (n) => generateImage({ model: image(laptop), prompt: "a lighthouse", n, maxRetries: 0 });
    await until("the rate allows a call", async () => {
      try {
        await pictures(4);
        return assert.fail("it cannot pay for them");
      } catch (error) {
        if (error.statusCode === 429) return false;
        assert.equal(error.statusCode, 402, error.message);
        assert.match(error.message, /^Insufficient credits to generate content: team:credits_total allows 0\.175: 0\.15 used/);
        return true;
      }
    });
    const { images } = await generateImage({ model: image(laptop), prompt: "a lighthouse" });
    jpegSize(images[0].uint8Array);
  });

  test("the team reads its own balance", async () => {
    const answer = await fetch(`${baseURL}/credits/balance`, { headers: { authorization: `Bearer ${laptop}` } });
    assert.equal((await answer.json()).balance, 0);
  });
});
