// The gateway's codes in words for a team's members.

const WHY = {
  budget_exhausted: "A budget would be passed",
  rate_limited: "Too many requests in this stretch of time",
  quota_exhausted: "The requests of the day or month are used up",
  too_many_concurrent: "Too many calls at once",
  shared_rate_limited: "The shared account was busy for as long as the call could wait",
  queue_full: "Too many calls wait for the shared account",
  upstream_unreachable: "Firemoon was not reached",
  upstream_broken: "Firemoon's answer was broken",
  upstream_timeout: "Firemoon did not answer in time",
  upstream_unavailable: "Firemoon fails at the moment",
  upstream_key_rejected: "Firemoon refused the shared key: tell your operators",
  shared_credits_exhausted: "The shared account has no credits: tell your operators",
  model_not_allowed: "Your team may not use this model",
  model_unknown: "There is no such model",
  invalid_body: "The request was not right",
  draining: "The gateway was restarting",
  ledger_unavailable: "The ledger did not answer",
};

const BY_STATUS = {
  400: "Firemoon found the request wrong",
  403: "Firemoon does not allow this",
  404: "Firemoon does not know the model",
  500: "Firemoon failed to make it",
};

/** A refusal's code in words. */
export const reason = (code) => WHY[code] ?? code.replaceAll("_", " ");

/** Why a call in the history made nothing. */
export function why({ outcome, code, httpStatus, status }) {
  if (status === "completed") return null;
  if (code && WHY[code]) return WHY[code];
  if (outcome === "released")
    return "It was never sent: its caller left, or there was no turn for it in time";
  if (outcome === "unknown")
    return code
      ? `Nobody knows whether it was executed (${code})`
      : "Nobody knows whether it was executed, so it is charged";
  if (httpStatus) return `${BY_STATUS[httpStatus] ?? "Firemoon refused it"} (${httpStatus})`;
  return code ?? "It was refused";
}

export const OUTCOMES = {
  completed: { tone: "good", text: "Completed" },
  failed: { tone: "warn", text: "Failed" },
  refused: { tone: "warn", text: "Refused" },
  unknown: { tone: "bad", text: "Unknown" },
  queued: { tone: "info", text: "Queued" },
  running: { tone: "info", text: "Running" },
};

/** A failure that ends the session, in words; `null` for one that may pass. */
export function endsSession({ status, code }) {
  if (status !== 401) return null;
  return (
    {
      credential_expired: "Your credential has expired. Sign in with a new one.",
      credential_revoked: "Your credential was revoked. Ask your operators for another.",
    }[code] ?? "The gateway no longer knows your credential. Sign in again."
  );
}

/** The meaning of a 403 for a team. */
export const forbidden = ({ code }) =>
  code === "team_suspended" ? "You may not call for now" : "Your team is not known here any more";
