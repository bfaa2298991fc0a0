// An installation for the team page: two teams, tokens and keys, and a Firemoon that does as it is
// told.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { SignJWT, exportJWK, generateKeyPair } from "jose";

import { install } from "./installation.mjs";
import { MOONGATE } from "./processes.mjs";

const ISSUER = "https://sso.example.com";

/** The teams: one with a zone of its own, one with few models, one that is soon out of credits. */
export const TEAMS = {
  design: {
    models: ["*"],
    limits: {
      requests_per_minute: 600,
      concurrent: 20,
      credits_per_day: 20,
      credits_per_month: 400,
    },
    time_zone: "America/New_York",
  },
  growth: { models: ["flux/*"], limits: { credits_per_month: 5 } },
  poor: { models: ["flux/*"], limits: { credits_total: "0.06" } },
};

/** A gateway key of a team: its text, and its entry for the configuration. */
async function gatewayKey(team) {
  const { stdout } = await promisify(execFile)(MOONGATE, [
    "keys",
    "generate",
    "--team",
    team,
    "--name",
    "laptop",
    "--json",
  ]);
  const { key, entry } = JSON.parse(stdout);
  return { text: key, entry };
}

/**
 * The installation, with `keys` by team and `token(user)` of the team design; `settings` take the
 * place of sections, `files` are written beside the configuration.
 */
export async function pageInstallation(settings = {}, files = {}) {
  const { privateKey, publicKey } = await generateKeyPair("RS256");
  const jwk = { ...(await exportJWK(publicKey)), kid: "e2e", alg: "RS256", use: "sig" };
  const [design, growth, poor] = await Promise.all(["design", "growth", "poor"].map(gatewayKey));
  const issuer = {
    issuer: ISSUER,
    audiences: ["moongate"],
    algorithms: ["RS256"],
    jwks: { file: "jwks.json" },
    leeway: "0s",
    team_claim: "/groups",
    teams: { "grp-design": "design" },
  };
  const place = await install({
    identity: { issuers: [issuer], keys: [design.entry, growth.entry, poor.entry] },
    files: { "jwks.json": JSON.stringify({ keys: [jwk] }), ...files },
    settings: {
      teams: TEAMS,
      pricing: {
        models: {
          "flux/dev": { per_image: 0.025 },
          "flux/schnell": { per_image: 0.003 },
          "kling/kling-2-1-master": { per_second: 0.28 },
        },
      },
      upstream: { limits: { requests_per_minute: 6000 } },
      queue: { max_wait: "60s" },
      reload: { poll: "50ms" },
      ...settings,
    },
  });
  const keys = { design: design.text, growth: growth.text, poor: poor.text };
  const token = (user, seconds = 600) =>
    new SignJWT({ groups: ["grp-design"] })
      .setProtectedHeader({ alg: "RS256", kid: "e2e" })
      .setIssuer(ISSUER)
      .setAudience("moongate")
      .setSubject(user)
      .setIssuedAt()
      .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
      .sign(privateKey);
  /** Makes a picture as a program would. */
  const generate = (credential, body = { prompt: "a lighthouse" }, model = "flux/dev") =>
    fetch(`${place.url}/api/v1/${model}`, {
      method: "POST",
      headers: { authorization: `Bearer ${credential}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  return { place, url: place.url, keys, token, generate };
}
