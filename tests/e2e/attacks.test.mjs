// Every attack token is refused with its documented code, reaches nobody, reserves nothing and is
// written down nowhere.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, describe, test } from "node:test";

import { ISSUER, SECOND_ISSUER, accepted, attacks, claims, makeKeys, signed } from "./attacks.mjs";
import { install } from "./installation.mjs";

describe("moongate serve and attack tokens", () => {
  let keys, place, thief, table;

  before(async () => {
    keys = await makeKeys();
    const server = http.createServer((request, response) => {
      thief.asked.push(request.url);
      response.end(JSON.stringify({ keys: [keys.thiefRsa.jwk] }));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    thief = { server, asked: [], url: `http://127.0.0.1:${server.address().port}` };
    const set = (...of) => JSON.stringify({ keys: of.map((key) => key.jwk) });
    place = await install({
      files: { "first.json": set(keys.rsa, keys.ec, keys.ed), "second.json": set(keys.second) },
      identity: {
        // Every row is judged for itself.
        throttle: { failures: 1_000_000 },
        issuers: [
          {
            issuer: ISSUER, audiences: ["moongate"], algorithms: ["RS256", "ES256", "EdDSA"], jwks: { file: "first.json" },
            max_token_age: "1h", team_claim: "/groups", teams: { "grp-design": "design", "grp-growth": "growth" },
          },
          {
            issuer: SECOND_ISSUER, audiences: ["moongate"], algorithms: ["RS256"], jwks: { file: "second.json" },
            team_claim: "/groups", teams: { growers: "growth" },
          },
        ],
      },
    });
    table = await attacks(keys, thief);
  });

  after(async () => {
    thief.server.close();
    const sent = table.flatMap(({ headers }) => headers.filter((_, index) => index % 2 === 1));
    // The last part of a token that is worth hiding: long enough to be no word of the log's own.
    const parts = sent.map((value) => value.split(/[. ]/).at(-1)).filter((part) => part.length > 40);
    await place.remove(parts);
  });

  test("the table is long enough to mean something", () => {
    assert.ok(table.length >= 60, `${table.length}`);
    assert.equal(new Set(table.map(({ name }) => name)).size, table.length, "no row twice");
  });

  test("each is refused with its documented status and code, twice", async () => {
    const wrong = [];
    for (const { name, headers, status, code } of [...table, ...table]) {
      const answer = await place.picture(headers);
      const said = JSON.parse(answer.text);
      if (answer.status !== status || said.code !== code) wrong.push(`${name}: ${answer.status} ${answer.text}`);
      if (Object.keys(answer.headers).some((name) => /ratelimit|credits/.test(name))) wrong.push(`${name}: tells limits`);
      if ((status === 401) !== ("www-authenticate" in answer.headers)) wrong.push(`${name}: the challenge`);
    }
    assert.deepEqual(wrong, []);
  });

  test("none of them reached Firemoon, asked the attacker or reserved anything", async () => {
    assert.equal((await place.books()).requests, 0);
    assert.deepEqual(thief.asked, []);
    for (const groups of ["grp-design", "grp-growth"]) {
      const { limits } = await place.me(await signed(keys.rsa, claims({ groups })));
      assert.ok(limits.length >= 3);
      for (const limit of limits) assert.deepEqual([limit.used, limit.reserved], [0, 0], JSON.stringify(limit));
    }
  });

  test("what is good is let in", async () => {
    for (const [name, headers] of await accepted(keys)) {
      const answer = await place.picture(headers);
      assert.equal(answer.status, 200, `${name}: ${answer.text}`);
    }
  });
});
