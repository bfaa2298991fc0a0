// Tokens that must let nobody in, made by `jose` and by hand, never by the gateway's own library.

import { constants, createHmac, sign as signBytes } from "node:crypto";

import {
  CompactEncrypt, CompactSign, SignJWT, UnsecuredJWT, base64url, exportJWK, exportSPKI, generateKeyPair, importJWK,
} from "jose";

export const ISSUER = "https://sso.example.com";
export const SECOND_ISSUER = "https://second.example.com";

const encode = (value) => base64url.encode(typeof value === "string" ? value : JSON.stringify(value));
const seconds = () => Math.floor(Date.now() / 1000);

/** A key pair with the name it has in key sets. */
async function pair(alg, kid) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, publicKey, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
}

/** The issuers' keys, and a thief's. */
export async function makeKeys() {
  return {
    rsa: await pair("RS256", "rsa"), ec: await pair("ES256", "ec"), ed: await pair("EdDSA", "ed"),
    second: await pair("RS256", "second"),
    thiefRsa: await pair("RS256", "rsa"), thiefEc: await pair("ES256", "ec"), thiefEc384: await pair("ES384", "ec"),
  };
}

/** Claims of a good token, changed; a claim that is `undefined` is left out. */
export const claims = (changes = {}) => ({
  iss: ISSUER, aud: "moongate", sub: "ann", groups: ["staff", "grp-design"], iat: seconds(), exp: seconds() + 600, ...changes,
});

/** A token signed with a key, its header and payload as they are given. */
export function signed(key, payload = claims(), header = {}) {
  const bytes = new TextEncoder().encode(typeof payload === "string" ? payload : JSON.stringify(payload));
  return new CompactSign(bytes).setProtectedHeader({ alg: key.alg, kid: key.kid, typ: "JWT", ...header })
    .sign(key.privateKey, { crit: { "x-must": true } });
}

/** A token of three texts: what no library would make. */
function byHand(header, payload, signature) {
  return `${encode(header)}.${encode(payload)}.${base64url.encode(signature)}`;
}

/** RS256 over a header that no library would write. */
function signedByHand(key, header, payload = claims()) {
  const message = `${encode(header)}.${encode(payload)}`;
  const options = key.alg === "RS256" ? { padding: constants.RSA_PKCS1_PADDING } : { dsaEncoding: "ieee-p1363" };
  const private_ = { key: key.privateKey, ...options };
  return `${message}.${base64url.encode(signBytes("sha256", Buffer.from(message), private_))}`;
}

/**
 * The table: what it is, the headers it is sent with, the status and the code. `thief` is a web
 * server of the attacker's.
 */
export async function attacks(keys, thief) {
  const { rsa, ec, ed, second } = keys;
  const rows = [];
  const row = (name, headers, status, code) => rows.push({ name, headers, status, code });
  const refuse = (name, token, code = "credential_invalid", status = code.startsWith("team") ? 403 : 401) =>
    row(name, ["authorization", `Bearer ${token}`], status, code);
  const good = await signed(rsa);
  const [header, payload, signature] = good.split(".");

  // No algorithm.
  refuse("none, as a library writes it", new UnsecuredJWT(claims()).encode());
  for (const alg of ["none", "None", "NONE", "nOnE", "noNe", "", " none"]) {
    refuse(`none, spelled "${alg}", without a signature`, byHand({ alg, kid: "rsa" }, claims(), ""));
    refuse(`none, spelled "${alg}", with a good signature`, signedByHand(rsa, { alg, kid: "rsa" }));
  }
  refuse("no alg at all", signedByHand(rsa, { kid: "rsa" }));
  refuse("an alg that is a list", signedByHand(rsa, { alg: ["RS256"], kid: "rsa" }));

  // Another algorithm than the key's or the issuer's.
  for (const [what, secret] of [
    ["PEM", await exportSPKI(rsa.publicKey)],
    ["PEM without its last line break", (await exportSPKI(rsa.publicKey)).trim()],
    ["JWK", JSON.stringify(rsa.jwk)],
    ["modulus", rsa.jwk.n],
    ["EC JWK", JSON.stringify(ec.jwk)],
    ["nothing", ""],
  ]) {
    for (const alg of ["HS256", "RS256"]) {
      const message = `${encode({ alg, kid: "rsa", typ: "JWT" })}.${encode(claims())}`;
      const mac = createHmac("sha256", secret).update(message).digest();
      refuse(`HMAC with the public key as its secret (${what}) that says ${alg}`, `${message}.${base64url.encode(mac)}`);
    }
  }
  for (const alg of ["RS512", "PS256", "PS384"]) {
    const key = await importJWK({ ...(await exportJWK(rsa.privateKey)), alg }, alg);
    refuse(`${alg}, which the issuer does not use`, await signed({ alg, kid: "rsa", privateKey: key }));
  }
  refuse("an EC key that says it is the RSA one", await signed({ ...ec, kid: "rsa" }));
  refuse("an RSA key that says it is the EC one", await signed({ ...rsa, kid: "ec" }));
  refuse("an Ed25519 key that says it is the EC one", await signed({ ...ed, kid: "ec" }));
  refuse("RS256 in the header of an ES256 signature", signedByHand(ec, { alg: "RS256", kid: "rsa" }));
  refuse("ES256 in the header of an RS256 signature", signedByHand(rsa, { alg: "ES256", kid: "ec" }));
  refuse("another curve under a known kid", await signed(keys.thiefEc384));
  refuse("a foreign RSA key under a known kid", await signed(keys.thiefRsa));
  refuse("a foreign EC key under a known kid", await signed(keys.thiefEc));

  // No signature, or not this one.
  refuse("an empty signature", `${header}.${payload}.`);
  refuse("a signature of zeros", byHand({ alg: "RS256", kid: "rsa" }, claims(), new Uint8Array(256)));
  refuse("an EC signature of zeros", byHand({ alg: "ES256", kid: "ec" }, claims(), new Uint8Array(64)));
  refuse("an Ed25519 signature of zeros", byHand({ alg: "EdDSA", kid: "ed" }, claims(), new Uint8Array(64)));
  refuse("half a signature", `${header}.${payload}.${signature.slice(0, 100)}`);
  refuse("another token's signature", `${header}.${encode(claims({ sub: "root" }))}.${signature}`);
  refuse("a longer signature", `${good}AAAA`);

  // Another issuer's, or for others.
  refuse("the second issuer's key for the first issuer", await signed(second));
  refuse("the first issuer's key for the second issuer", await signed(rsa, claims({ iss: SECOND_ISSUER })));
  refuse("the second issuer's token for a team of the first", await signed(second, claims({ iss: SECOND_ISSUER })), "team_unknown");
  refuse("an issuer that nobody knows", await signed(rsa, claims({ iss: thief.url })));
  refuse("an issuer with a slash too many", await signed(rsa, claims({ iss: `${ISSUER}/` })));
  refuse("an issuer that is a list", await signed(rsa, claims({ iss: [ISSUER] })));
  refuse("no issuer", await signed(rsa, claims({ iss: undefined })));
  refuse("another audience", await signed(rsa, claims({ aud: "billing" })));
  refuse("a list of other audiences", await signed(rsa, claims({ aud: ["billing", "moongate2"] })));
  refuse("an empty list of audiences", await signed(rsa, claims({ aud: [] })));
  refuse("a list with ours and a number", await signed(rsa, claims({ aud: ["moongate", 7] })));
  refuse("no audience", await signed(rsa, claims({ aud: undefined })));

  // Not now.
  refuse("no exp", await signed(rsa, claims({ exp: undefined })));
  refuse("an exp that is text", await signed(rsa, claims({ exp: `${seconds() + 600}` })));
  refuse("an exp that is a list", await signed(rsa, claims({ exp: [seconds() + 600] })));
  refuse("an exp before 1970", await signed(rsa, claims({ exp: -1 })));
  refuse("an exp after all time", await signed(rsa, claims({ exp: 1e300 })));
  refuse("expired, beyond the leeway", await signed(rsa, claims({ exp: seconds() - 31 })), "credential_expired");
  refuse("expired, and signed by a thief", await signed(keys.thiefRsa, claims({ exp: seconds() - 31 })));
  refuse("not before tomorrow", await signed(rsa, claims({ nbf: seconds() + 86400 })));
  refuse("an nbf that is text", await signed(rsa, claims({ nbf: "0" })));
  refuse("issued tomorrow", await signed(rsa, claims({ iat: seconds() + 86400 })));
  refuse("older than max_token_age", await signed(rsa, claims({ iat: seconds() - 3631 })), "credential_expired");
  refuse("without iat, although there is a max_token_age", await signed(rsa, claims({ iat: undefined })));

  // Headers that want something.
  refuse("crit", await signed(rsa, claims(), { crit: ["x-must"], "x-must": 1 }));
  refuse("crit that names exp", signedByHand(rsa, { alg: "RS256", kid: "rsa", crit: ["exp"], exp: 1 }));
  refuse("an empty crit", signedByHand(rsa, { alg: "RS256", kid: "rsa", crit: [] }));
  refuse("b64", signedByHand(rsa, { alg: "RS256", kid: "rsa", b64: false }));
  refuse("zip", signedByHand(rsa, { alg: "RS256", kid: "rsa", zip: "DEF" }));
  refuse("a logout token", await signed(rsa, claims(), { typ: "logout+jwt" }));
  for (const [member, value] of [
    ["jku", `${thief.url}/jku`], ["x5u", `${thief.url}/x5u`], ["jwk", keys.thiefRsa.jwk], ["x5c", [keys.thiefRsa.jwk.n]],
  ]) {
    refuse(`${member} of the attacker's, signed by the attacker`, await signed(keys.thiefRsa, claims(), { [member]: value }));
    refuse(`${member} of the attacker's, under a kid nobody knows`,
      await signed({ ...keys.thiefRsa, kid: `${member}-thief` }, claims(), { [member]: value }));
  }
  for (const kid of [
    "../../../../dev/null", "/etc/passwd", "rsa' OR '1'='1", "'; DROP TABLE keys; --", `${thief.url}/kid`, "rsa\u0000", "", "RSA",
    "${jndi:ldap://127.0.0.1:9/a}", "%2e%2e%2fkeys",
  ]) refuse(`kid ${JSON.stringify(kid)}`, await signed({ ...keys.thiefRsa, kid }));
  for (const kid of [0, null, ["rsa"], { kid: "rsa" }]) {
    refuse(`kid ${JSON.stringify(kid)}, not a text`, signedByHand(rsa, { alg: "RS256", kid }));
  }

  // JSON that is read in two ways, or is no token.
  const text = JSON.stringify(claims());
  refuse("a member of the header twice", signedByHand(rsa, '{"alg":"RS256","kid":"rsa","alg":"none"}'));
  refuse("exp twice", await signed(rsa, `{"exp":1,${text.slice(1)}`));
  refuse("groups twice", await signed(rsa, `{"groups":["grp-growth"],${text.slice(1)}`));
  refuse("a member twice, deep down", await signed(rsa, claims()).then(() => signed(rsa, `{"x":{"a":1,"a":2},${text.slice(1)}`)));
  refuse("a token in a token", await signed(rsa, good));
  refuse("a token in a token that says so", await signed(rsa, good, { cty: "JWT" }));
  refuse("claims in a list", await signed(rsa, `[${text}]`));
  refuse("claims that are no JSON", await signed(rsa, "sub=ann&groups=grp-design"));
  const encrypted = await new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: "RSA-OAEP-256", enc: "A256GCM", kid: "rsa" })
    .encrypt(await importJWK({ ...rsa.jwk, alg: undefined, use: undefined }, "RSA-OAEP-256"));
  refuse("five parts: encrypted to the issuer's key", encrypted);
  refuse("five parts: a good token and two more", `${good}.${header}.${payload}`);
  refuse("four parts", `${good}.`);
  refuse("two parts", `${header}.${payload}`);
  refuse("padding", `${header}=.${payload}.${signature}`);
  refuse("padding behind the signature", `${good}==`);
  refuse("the other base64 alphabet", `${header}.${payload}.${signature.replace(/[-_]/, "+")}+/`);
  refuse("a space inside", `${header}. ${payload}.${signature}`);
  refuse("a tab behind it", `${header}.${payload}\t.${signature}`);
  refuse("JSON serialization", JSON.stringify({ protected: header, payload, signature }).replaceAll(" ", ""));
  refuse("100 kB of a's", "a".repeat(100_000), "headers_too_large", 431);
  refuse("a token of 100 kB", await signed(rsa, claims({ padding: "x".repeat(75_000) })), "headers_too_large", 431);
  refuse("a broken token as long as may be sent", `${"a".repeat(16_000)}.b.c`);

  // Claims of wrong types, and no one team.
  for (const sub of [undefined, 7, "", ["ann"], { name: "ann" }, "ann\nteam=growth", "a".repeat(257), "key:k7Qp2mZr9aBc"]) {
    refuse(`sub ${JSON.stringify(sub)?.slice(0, 30)}`, await signed(rsa, claims({ sub })));
  }
  for (const groups of [undefined, null, 7, [], ["staff"], {}, "GRP-DESIGN", "design", [["grp-design"]], ["grp-design", "grp-growth"]]) {
    refuse(`groups ${JSON.stringify(groups)}`, await signed(rsa, claims({ groups })), "team_unknown");
  }

  // Good tokens in the wrong places.
  row("two Authorization headers", ["authorization", `Bearer ${good}`, "authorization", `Bearer ${good}`], 400, "invalid_request");
  row("two headers, one of them bad", ["authorization", "Bearer x", "authorization", `Bearer ${good}`], 400, "invalid_request");
  row("Authorization and X-API-Key", ["authorization", `Bearer ${good}`, "x-api-key", good], 400, "invalid_request");
  row("two in one header", ["authorization", `Bearer ${good}, Bearer ${good}`], 401, "credential_invalid");
  row("no scheme", ["authorization", good], 401, "credential_invalid");
  row("the wrong scheme", ["authorization", `Basic ${good}`], 401, "credential_invalid");
  row("a cookie", ["cookie", `token=${good}`], 401, "credential_missing");
  return rows;
}

/**
 * What must be let in all the same, so that the table shows more than a gateway that refuses
 * everyone.
 */
export async function accepted(keys) {
  const { rsa, ec, ed, second } = keys;
  const bearer = async (token, scheme = "Bearer") => ["authorization", `${scheme} ${await token}`];
  return [
    ["RS256", await bearer(signed(rsa))],
    ["ES256", await bearer(signed(ec))],
    ["EdDSA", await bearer(signed(ed))],
    ["the scheme in odd case", await bearer(signed(rsa), "bEaReR")],
    ["the scheme in lower case", await bearer(signed(rsa), "bearer")],
    ["X-API-Key", ["x-api-key", await signed(rsa)]],
    ["a list of audiences with ours", await bearer(signed(rsa, claims({ aud: ["billing", "moongate"] })))],
    ["expired, within the leeway", await bearer(signed(rsa, claims({ exp: seconds() - 1 })))],
    ["an access token by its type", await bearer(signed(rsa, claims(), { typ: "at+jwt" }))],
    ["a jwk of its own beside a good signature", await bearer(signed(rsa, claims(), { jwk: keys.thiefRsa.jwk }))],
    ["as SignJWT writes it", await bearer(new SignJWT(claims()).setProtectedHeader({ alg: "RS256", kid: "rsa" }).sign(rsa.privateKey))],
    ["the second issuer's own", await bearer(signed(second, claims({ iss: SECOND_ISSUER, groups: "growers" })))],
  ];
}
