// The limits: their names in words, their numbers as integers, and how near their end is.

import { micros, share } from "./credits.js";

/** The owner of a limit, in words for the caller who is signed in at the team page. */
export const WHO = { team: "the team", user: "you", key: "this key" };
const WHAT = {
  requests_per_second: "requests a second",
  requests_per_minute: "requests a minute",
  requests_per_hour: "requests an hour",
  requests_per_day: "requests a day",
  requests_per_month: "requests a month",
  credits_per_day: "credits a day",
  credits_per_month: "credits a month",
  credits_total: "prepaid credits",
  concurrent: "calls at once",
};

/**
 * A limit of the gateway with its numbers as integers: credits in millionths, requests as they are.
 */
export function read(limit) {
  const [level, kind] = limit.limit.split(":");
  const isCredits = kind.startsWith("credits");
  const whole = isCredits ? micros : (number) => BigInt(number);
  const [max, used, reserved, remaining] = [
    limit.max,
    limit.used,
    limit.reserved,
    limit.remaining,
  ].map(whole);
  return {
    name: limit.limit,
    level,
    kind,
    isCredits,
    max,
    used,
    reserved,
    remaining,
    reset: limit.reset,
    shadow: limit.shadow,
  };
}

/** `credits a day of the team`. */
export const inWords = (name) => {
  const [level, kind] = name.split(":");
  return `${WHAT[kind] ?? kind.replaceAll("_", " ")} of ${WHO[level] ?? level}`;
};

/** Whether the end of a limit is near, by what is used and reserved. */
export function tone({ max, used, reserved }) {
  const taken = share(used + reserved, max);
  return taken >= 0.95 ? "bad" : taken >= 0.8 ? "warn" : "good";
}

/** Whether there is a reset to wait for: a full bucket and slots have none. */
export const resets = ({ kind, reset, used }) =>
  Boolean(reset) && (/_per_(day|month)$/.test(kind) || used > 0n);

/** `Credits a day`. */
export const what = (kind) => {
  const text = WHAT[kind] ?? kind.replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
};

/** The parts of a limit's bar. */
export const parts = ({ used, reserved, max }) => [
  { kind: "used", share: share(used, max) },
  { kind: "reserved", share: share(reserved, max) },
];
