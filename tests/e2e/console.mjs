// An installation for the console: that of the team page with operators, users with budgets, and a
// team that pays ahead.

import { createHash } from "node:crypto";

import { TEAMS, pageInstallation } from "./page.mjs";

/** An operator who may change, and one who only looks. */
export const OPS = "ops-token-5b1f0c7de2a94386";
export const WATCH = "watch-token-90d4e8c3b7a15f62";

const hash = (token) => ({ file: `${token.split("-")[0]}.sha256` });
const hashed = (token) => [
  hash(token).file,
  `${createHash("sha256").update(token).digest("hex")}\n`,
];

export const CONSOLE_TEAMS = {
  ...TEAMS,
  design: {
    ...TEAMS.design,
    user_limits: { credits_per_day: 0.1, requests_per_minute: 60 },
    weight: 2,
  },
  growth: {
    models: ["*"],
    limits: { credits_per_month: 5 },
    suspended_users: ["<b>mallory</b>"],
  },
  studio: { models: ["*"], limits: { credits_total: 12.5, concurrent: 4 } },
};

/** `settings` take the place of sections, as everywhere. */
export async function consoleInstallation(settings = {}) {
  const tokens = [
    { name: "ops", sha256: hash(OPS) },
    { name: "watch", sha256: hash(WATCH), role: "read" },
  ];
  const admin = { address: "127.0.0.1:0", tokens };
  const at = await pageInstallation(
    { teams: CONSOLE_TEAMS, admin, ...settings },
    Object.fromEntries([OPS, WATCH].map(hashed)),
  );
  /** Asks the operator's API as a program would. */
  const api = async (path, body) => {
    const headers = { authorization: `Bearer ${OPS}`, "content-type": "application/json" };
    const how = body ? { method: "POST", body: JSON.stringify(body), headers } : { headers };
    const answer = await fetch(`${at.place.operator}/admin/v1/${path}`, how);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  return { ...at, api, keySecrets: Object.values(at.keys).map((key) => key.split("_").at(-1)) };
}
