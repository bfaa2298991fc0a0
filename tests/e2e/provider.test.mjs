// The tokens of a real OpenID provider, through the rotation of its keys and while it is away.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { SignJWT, decodeProtectedHeader, importJWK } from "jose";

import { install } from "./installation.mjs";
import { until } from "./processes.mjs";
import { OpenIdProvider, signingKey } from "./provider.mjs";

/**
 * How long after one reading of the keys an unknown key may cause the next, as the README says; and
 * what a busy machine adds.
 */
const COOL_DOWN_MS = 30_000;
const BUSY_MS = 60_000;

describe("moongate serve and an OpenID provider", () => {
  let keys, provider, place, forged;
  /** Every token that was made, for the search in the logs. */
  const tokens = [];

  before(async () => {
    keys = { a: await signingKey("a"), b: await signingKey("b"), c: await signingKey("c"), forger: await signingKey("a") };
    provider = await OpenIdProvider.start([keys.a, keys.b]);
    place = await install({
      identity: {
        issuers: [{
          issuer: provider.issuer, audiences: ["moongate"], algorithms: ["RS256"], jwks: { discovery: true }, refresh: "30s",
          team_claim: "/groups", user_claim: "/client_id", teams: { "grp-design": "design" },
        }],
      },
    });
    forged = await Promise.all(["a", "b", "c"].map((kid) => made({ ...keys.forger, kid })));
  });

  after(async () => {
    await provider.stop();
    await place.remove(tokens.map((token) => token.split(".").at(-1)));
  });

  async function issued() {
    const token = await provider.token();
    tokens.push(token);
    return token;
  }

  /** A token as the provider would make it, by whoever holds a private key. */
  async function made(key) {
    const now = Math.floor(Date.now() / 1000);
    const token = await new SignJWT({ groups: ["grp-design"], client_id: "render-farm", jti: crypto.randomUUID() })
      .setProtectedHeader({ alg: "RS256", kid: key.kid, typ: "at+jwt" })
      .setIssuer(provider.issuer).setAudience("moongate").setSubject("render-farm").setIssuedAt(now).setExpirationTime(now + 600)
      .sign(await importJWK(key, "RS256"));
    tokens.push(token);
    return token;
  }

  const picture = (token) => place.picture(["authorization", `Bearer ${token}`]);
  async function good(token) {
    const answer = await picture(token);
    assert.equal(answer.status, 200, answer.text);
  }
  async function refused(token) {
    const answer = await picture(token);
    assert.ok([401, 429].includes(answer.status), `${answer.status} ${answer.text}`);
  }
  const noneForged = async () => {
    for (const token of forged) await refused(token);
  };

  let first, second;
  test("a token for client credentials gets a picture for its client", async () => {
    first = await issued();
    assert.equal(decodeProtectedHeader(first).kid, "a");
    await good(first);
    const me = await place.me(first);
    assert.deepEqual([me.team, me.user], ["design", "render-farm"]);
    await noneForged();
  });

  test("when the provider signs with its next key, no token is refused", async () => {
    await provider.stop();
    await provider.start([keys.b, keys.a]);
    const asked = provider.asked["/jwks"];
    second = await issued();
    assert.equal(decodeProtectedHeader(second).kid, "b");
    await good(second);
    await good(first);
    assert.ok(provider.asked["/jwks"] <= asked + 1, "at most the reading that was due");
    await noneForged();
  });

  test("while the provider is away its tokens stay good, even unseen ones", async () => {
    await provider.stop();
    for (const token of [first, second, await made(keys.a), await made(keys.b)]) await good(token);
    await noneForged();
  });

  test("a provider's new key is known within the interval", async () => {
    const down = provider.asked["/jwks"];
    await provider.start([keys.c]);
    const since = Date.now();
    const third = await issued();
    assert.equal(decodeProtectedHeader(third).kid, "c");
    let answers = 0;
    await until("the new key is known", async () => {
      const answer = await picture(third);
      answers += 1;
      if (answer.status === 200) return true;
      assert.ok([401, 429].includes(answer.status), `${answer.status} ${answer.text}`);
      // What was good stays good until the new keys are here.
      const old = await picture(first);
      assert.ok(old.status === 200 || (await picture(third)).status === 200, old.text);
      return false;
    }, COOL_DOWN_MS + BUSY_MS);
    const intervals = Math.ceil((Date.now() - since) / COOL_DOWN_MS);
    assert.ok(provider.asked["/jwks"] - down <= intervals + 1, `${answers} tokens asked ${provider.asked["/jwks"] - down} times`);
    for (const token of [first, second, await made(keys.a), await made(keys.b)]) await refused(token);
    await good(third);
    await good(await issued());
    await noneForged();
  });
});
