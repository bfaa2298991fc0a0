// A whole installation: a real Redis, a simulated Firemoon, and `moongate serve` in front of it;
// asked as callers and as operators ask, and searched for what must not have left it.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";

import { MOONGATE, Program, folder, redis, until } from "./processes.mjs";

const SHARED_KEY = "fm_live_e2e_77b1d0c95a";
const PROMPT = "a lighthouse at dusk, e2e";

/**
 * Starts everything. `identity` is the section of the configuration; `files` are written beside it;
 * `settings` take the place of whole sections, but for `upstream` and `ledger`, which they add to.
 */
export async function install({ identity, files = {}, settings = {} }) {
  const place = await folder();
  const store = await redis(place.name);
  const firemoon = new Program(MOONGATE, [
    "simulate", "--address", "127.0.0.1:0", "--media-address", "127.0.0.1:0", "--latency", "0ms", "--key", `shared=${SHARED_KEY}`,
    "--requests-per-minute", "0", "--requests-per-day", "0", "--requests-per-month", "0",
  ]);
  const upstream = (await firemoon.says(/Firemoon simulator: (\S+)\/api\nMedia: /))[1];
  const configuration = {
    listen: { address: "127.0.0.1:0" },
    admin: { address: "127.0.0.1:0" },
    identity,
    teams: {
      design: { models: ["*"], limits: { requests_per_day: 100000, credits_per_day: 1000, concurrent: 100 } },
      growth: { models: ["*"], limits: { requests_per_day: 100000, credits_per_day: 1000, concurrent: 100 } },
    },
    pricing: { models: { "flux/dev": { per_image: 0.025 } } },
    shutdown: { delay: "0s" },
    telemetry: { logs: "json" },
    ...settings,
  };
  const here = { base_url: `${upstream}/api`, keys: [{ name: "primary", secret: { file: "shared-key" } }] };
  configuration.upstream = { ...here, ...settings.upstream };
  configuration.ledger = { redis: { url: store.url, deadline: "20s" }, ...settings.ledger };
  const written = { "shared-key": `${SHARED_KEY}\n`, "moongate.yaml": JSON.stringify(configuration), ...files };
  for (const [name, content] of Object.entries(written)) await writeFile(path.join(place.name, name), content);
  const serve = async () => {
    const gateway = new Program(MOONGATE, ["serve", "--config", path.join(place.name, "moongate.yaml")]);
    const said = await gateway.says(/"msg":"listening".*"team":"([^"]+)","operator":"([^"]+)"/);
    await until("the gateway is ready", async () => (await fetch(`http://${said[2]}/readyz`)).status === 200);
    return { gateway, addresses: [said[1], said[2]] };
  };
  const { gateway, addresses } = await serve();
  const team = `http://${addresses[0]}`;
  let operator = `http://${addresses[1]}`;

  return {
    gateway,
    store,
    configuration,
    url: team,

    /** Where operators ask. */
    get operator() {
      return operator;
    },

    /** Sets what goes wrong at Firemoon, in the simulator's words. */
    faults: (rules) => fetch(`${upstream}/_simulator/faults`, { method: "PUT", body: JSON.stringify(rules) }),

    /** Lets the calls go on that the fault `hold` keeps. */
    release: () => fetch(`${upstream}/_simulator/release`, { method: "POST" }),

    /** Changes the shared key at Firemoon, or its account: `{ suspended }`, `{ balance }`. */
    changeKey: (change) => fetch(`${upstream}/_simulator/keys/shared`, { method: "PUT", body: JSON.stringify(change) }),

    /** Changes the configuration; a running gateway reloads it. */
    async change(change) {
      change(configuration);
      await writeFile(path.join(place.name, "moongate.yaml"), JSON.stringify(configuration));
    },

    /** Starts a gateway again where the one was that has ended. */
    async restart() {
      await this.change((changed) => (changed.listen = { address: addresses[0] }));
      const again = await serve();
      this.gateway = again.gateway;
      operator = `http://${again.addresses[1]}`;
    },

    /**
     * Asks for a picture. `headers` is a flat list of names and values, sent as they are, a name
     * twice if it is there twice.
     */
    picture: (headers) => post(`${team}/api/v1/flux/dev`, headers),

    /** What the team of a credential may still do. */
    me: async (credential) => (await fetch(`${team}/gateway/v1/me`, { headers: { authorization: `Bearer ${credential}` } })).json(),

    /** What Firemoon saw: all requests, and those with a key that is not the shared one. */
    books: async () => (await fetch(`${upstream}/_simulator/books?calls=0`)).json(),

    metrics: async () => (await fetch(`${operator}/metrics`)).text(),

    /**
     * Ends everything; fails when anything that was said holds one of these texts, the shared key
     * or a prompt.
     */
    async remove(forbidden) {
      const metrics = await (await fetch(`${operator}/metrics`)).text();
      const { unknown_credentials } = await this.books();
      assert.equal(await this.gateway.stop(), 0);
      await firemoon.stop();
      await store.program.stop();
      await place.remove();
      assert.equal(unknown_credentials, 0, "Firemoon never saw a team's credential");
      for (const text of [SHARED_KEY, PROMPT, "panicked", ...forbidden]) {
        assert.ok(!gateway.said.includes(text) && !this.gateway.said.includes(text), `the log holds ${text.slice(0, 40)}`);
        assert.ok(!metrics.includes(text), `the metrics hold ${text.slice(0, 40)}`);
      }
    },
  };
}

/**
 * Sends a generation on a connection of its own; gives status, headers and the body as it was read.
 */
function post(url, headers) {
  const body = JSON.stringify({ prompt: PROMPT });
  return new Promise((resolve, reject) => {
    const all = ["host", new URL(url).host, "content-type", "application/json", "content-length", `${body.length}`, ...headers];
    const request = http.request(url, { method: "POST", agent: false, headers: all }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part) => (text += part));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
    });
    request.on("error", reject);
    request.end(body);
  });
}
