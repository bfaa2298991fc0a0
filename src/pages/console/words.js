// What the gateway's codes and states mean for an operator.

const REASONS = {
  budget_exhausted: "A budget would be passed",
  rate_limited: "Too many requests in a stretch of time",
  quota_exhausted: "The requests of a day or month are used up",
  too_many_concurrent: "Too many calls at once",
  shared_rate_limited: "No turn on the shared account in time",
  queue_full: "Too many calls wait already",
  upstream_unreachable: "Firemoon was not reached",
  upstream_broken: "Firemoon's answer was broken",
  upstream_timeout: "Firemoon did not answer in time",
  upstream_unavailable: "The breaker is open: Firemoon fails",
  upstream_key_rejected: "Firemoon refused a shared key",
  shared_credits_exhausted: "The shared account has no credits",
  model_not_allowed: "The team may not use the model",
  model_unknown: "There is no such model",
  invalid_body: "The request was not right",
  credential_missing: "No credential was sent",
  credential_invalid: "The credential is not known",
  credential_expired: "The credential has expired",
  credential_revoked: "The credential was revoked",
  team_suspended: "The team or the user is suspended",
  team_unknown: "The credential names no team",
  draining: "The gateway was stopping",
  ledger_unavailable: "The ledger did not answer",
  route_not_found: "There is no such route",
  method_not_allowed: "The route has no such method",
  firemoon_rejected: "Firemoon found the request wrong",
};

/** A refusal's code in words. */
export const reason = (code) => REASONS[code] ?? code.replaceAll("_", " ");

export const OUTCOMES = {
  completed: { tone: "good", text: "Completed" },
  failed: { tone: "warn", text: "Failed" },
  refused: { tone: "warn", text: "Refused" },
  unknown: { tone: "bad", text: "Unknown" },
  queued: { tone: "info", text: "Queued" },
  running: { tone: "info", text: "Running" },
};

/** Why a call in the ledger made nothing; nothing if it did. */
export function why({ status, outcome, code, httpStatus }) {
  if (status === "completed") return null;
  if (code) return reason(code);
  if (outcome === "released") return "Never sent: its caller left, or it had no turn in time";
  if (outcome === "unknown") return "Nobody knows whether it was executed";
  return httpStatus ? `Firemoon answered ${httpStatus}` : "Refused";
}

const ACTIONS = {
  suspend_team: "Suspended",
  resume_team: "Resumed",
  top_up_team: "Topped up",
  accept_loss: "Accepted a loss",
  accept_every_loss: "Accepted every loss",
  create_key: "Made",
  rotate_key: "Rotated",
  revoke_key: "Revoked",
};

/** The action of an audit line in a word. */
export const action = (name) => ACTIONS[name] ?? name.replaceAll("_", " ");

/** A failure that ends the session, in words; nothing for one that may pass. */
export const endsSession = ({ status }) =>
  status === 401 ? "The gateway no longer knows your token. Sign in again." : null;
