//! Top-ups: an operator adds credits to the prepaid budget of a team, a user or a gateway key.

use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{self, Call, Changed};
use super::teams::{Teams, unfit};
use crate::credits::Credits;
use crate::ledger::{Outage, Scope, TopUp, TopUpId, ToppedUp};
use crate::refusal::Refusal;
use crate::team::{KeyId, LimitKind, Limits, Team, UserId};

/// A top-up, as requested.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requested {
    id: String,
    credits: Value,
    user: Option<String>,
    key: Option<String>,
}

/// Result of a top-up, with the new total.
#[derive(Debug, Serialize)]
struct ToppedUpView<'a> {
    team: &'a str,
    user: Option<&'a str>,
    key: Option<&'a str>,
    id: &'a str,
    /// `false` if it was added before and nothing changed.
    added: bool,
    /// `team:credits_total`.
    limit: String,
    configured: Credits,
    #[serde(rename = "toppedUp")]
    topped_up: Credits,
    max: Credits,
}

impl Teams {
    /// Adds to a prepaid budget, once for each id.
    pub(super) async fn top_up(&self, call: &Call) -> Result<Changed, Refusal> {
        let (team, requested) = (self.team(call)?, call.body::<Requested>()?);
        let top_up = checked(&requested)?;
        if let Scope::User(user) = &top_up.scope {
            self.may_mean(&team, user).await?;
        }
        let configured = self.prepaid(&team, &top_up.scope)?;
        let subject = match &top_up.scope {
            Scope::User(user) | Scope::Account(user) => format!("user {user} of team {}", team.id),
            Scope::Key(key) => format!("key {key} of team {}", team.id),
            Scope::Team => format!("team {}", team.id),
        };
        let (added, sum) = match self.ledger.top_up(&team.id, top_up.clone()).await {
            Ok(ToppedUp::Now(sum)) => (true, sum),
            Ok(ToppedUp::Before(sum)) => (false, sum),
            Ok(ToppedUp::Taken) => {
                return Err(Refusal::TopUpConflict("Another top-up of the team has this id"));
            }
            Ok(ToppedUp::TooMuch) => {
                let problem =
                    format!("credits: all top-ups together can be at most {}", Credits::MAX);
                return Err(Refusal::InvalidBody(vec![problem]));
            }
            Err(outage @ (Outage::Refused(_) | Outage::Lost)) => {
                tracing::warn!(%outage, team = %team.id, "a team was not topped up");
                return Err(Refusal::LedgerUnavailable);
            }
            Err(outage @ (Outage::TimedOut | Outage::Unreachable(_))) => {
                tracing::warn!(
                    %outage,
                    team = %team.id,
                    id = %top_up.id,
                    "it is not known whether a team was topped up: top it up again with the same id"
                );
                let after = json!({ "top_up": top_up.id.as_str(), "credits": top_up.credits });
                return Ok(Changed {
                    subject,
                    before: Value::Null,
                    after,
                    answer: Err(Refusal::LedgerUnavailable),
                });
            }
        };
        let answer = call::json(
            StatusCode::OK,
            &ToppedUpView {
                team: team.id.as_str(),
                user: requested.user.as_deref(),
                key: requested.key.as_deref(),
                id: top_up.id.as_str(),
                added,
                limit: format!("{}:{}", top_up.scope.level(), LimitKind::CreditsTotal),
                configured,
                topped_up: sum,
                max: configured.plus(sum),
            },
        );
        let before = if added { sum.less(top_up.credits) } else { sum };
        let state = |sum: Credits| {
            let max = configured.plus(sum);
            json!({ "topped_up": sum, "max": max, "configured": configured })
        };
        let (before, mut after) = (state(before), state(sum));
        after["top_up"] = top_up.id.as_str().into();
        Ok(Changed { subject, before, after, answer })
    }

    /// The scope's prepaid budget, in the configuration or in the key's own limits.
    fn prepaid(&self, team: &Team, scope: &Scope) -> Result<Credits, Refusal> {
        let limits = match scope {
            Scope::Team => Some(Arc::clone(&team.limits)),
            Scope::User(_) | Scope::Account(_) => Some(Arc::clone(&team.user_limits)),
            Scope::Key(key) => self.key_limits(team, key)?,
        };
        let limit = limits.as_ref().and_then(|limits| limits.get(LimitKind::CreditsTotal));
        let without = Refusal::TopUpConflict(match scope {
            Scope::Team => "The team has no prepaid budget: limits.credits_total is not configured",
            Scope::User(_) | Scope::Account(_) => {
                "The team's users have no prepaid budget: user_limits.credits_total is \
                 not configured"
            }
            Scope::Key(_) => "The key has no prepaid budget: it has no limit credits_total",
        });
        limit.map(|limit| Credits::from_micros(limit.max)).ok_or(without)
    }

    fn key_limits(&self, team: &Team, id: &KeyId) -> Result<Option<Arc<Limits>>, Refusal> {
        let (authenticator, registry) =
            (self.registry_sync.authenticator(), self.registry_sync.registry());
        let configured = authenticator.configured_keys().iter().find(|key| key.id == *id);
        let (whose, limits) = match (configured, registry.key(id)) {
            (Some(key), _) => (&key.team, &key.limits),
            (None, Some(key)) => (&key.record.team, &key.limits),
            (None, None) => return Err(Refusal::KeyNotFound),
        };
        if *whose == team.id { Ok(limits.clone()) } else { Err(Refusal::KeyNotFound) }
    }
}

/// The top-up, or every problem in the request.
fn checked(requested: &Requested) -> Result<TopUp, Refusal> {
    let mut problems = Vec::new();
    let id = TopUpId::parse(&requested.id);
    if id.is_none() {
        problems.push(format!("id: must be 1 to {} of [A-Za-z0-9._-]", TopUpId::BYTES_MAX));
    }
    let credits = credits(&requested.credits)
        .map_err(|problem| problems.push(format!("credits: {problem}")))
        .ok();
    let user = requested.user.as_deref().map(UserId::parse);
    if user == Some(None) {
        problems.push(unfit());
    }
    let key = requested.key.as_deref().map(KeyId::parse);
    if key == Some(None) {
        problems.push("key: must be the 12 letters and digits after mgk_".to_owned());
    }
    let scope = match (user.flatten(), key.flatten()) {
        (Some(_), Some(_)) => {
            problems.push("user: cannot stand beside key: a top-up is one budget's".to_owned());
            None
        }
        (Some(user), None) => Some(Scope::User(user)),
        (None, Some(key)) => Some(Scope::Key(key)),
        (None, None) => Some(Scope::Team),
    };
    match (id, credits, scope) {
        (Some(id), Some(credits), Some(scope)) if problems.is_empty() => {
            Ok(TopUp { id, scope, credits })
        }
        (_, _, _) => Err(Refusal::InvalidBody(problems)),
    }
}

fn credits(value: &Value) -> Result<Credits, String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.starts_with('-') {
        return Err(
            "a top-up is never taken back; to let the team spend less, lower the configured limit"
                .to_owned(),
        );
    }
    let credits = Credits::deserialize(value).map_err(|wrong| wrong.to_string())?;
    if credits == Credits::ZERO { Err("must be more than 0".to_owned()) } else { Ok(credits) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(body: Value) -> Result<TopUp, Vec<String>> {
        checked(&serde_json::from_value(body).unwrap()).map_err(|refusal| refusal.problems())
    }

    #[test]
    fn a_top_up_names_one_budget_and_an_id() {
        let top_up = parsed(json!({ "id": "invoice-7", "credits": "12.5" })).unwrap();
        assert_eq!(
            (top_up.id.as_str(), top_up.scope, top_up.credits.micros()),
            ("invoice-7", Scope::Team, 12_500_000)
        );
        let top_up = parsed(json!({ "id": "7", "credits": 3, "user": "ana" })).unwrap();
        assert_eq!(top_up.scope, Scope::User(UserId::parse("ana").unwrap()));
        let top_up = parsed(json!({ "id": "7", "credits": 0.025, "key": "k7Qp2mZr9aBc" })).unwrap();
        assert_eq!(top_up.scope, Scope::Key(KeyId::parse("k7Qp2mZr9aBc").unwrap()));
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let wrong =
            parsed(json!({ "id": "a b", "credits": 0, "user": "", "key": "mgk_" })).unwrap_err();
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        let both = parsed(json!({ "id": "a", "credits": 1, "user": "ana", "key": "k7Qp2mZr9aBc" }))
            .unwrap_err();
        assert!(both[0].starts_with("user: cannot stand beside key"), "{both:?}");
        for (credits, why) in [
            (json!(-5), "never taken back"),
            (json!("-0.5"), "never taken back"),
            (json!("0"), "more than 0"),
            (json!("0.0000001"), "six decimal places"),
            (json!(1_000_000_001), "at most 1000000000"),
            (json!("1e3"), "decimal number"),
            (json!(null), "an amount of credits"),
            (json!([1]), "an amount of credits"),
        ] {
            let wrong = parsed(json!({ "id": "a", "credits": credits })).unwrap_err();
            assert!(wrong.len() == 1 && wrong[0].contains(why), "{wrong:?}");
        }
    }
}
