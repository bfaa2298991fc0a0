//! Body of the webhook's request: one flat JSON object, the same for every attempt.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::credits::Credits;
use crate::ledger::{Crossing, Scope};
use crate::printable;
use crate::team::{Share, TeamId};

/// The body.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// Kind of event; there may be more in the future.
    event: &'static str,
    /// The same for every attempt, so that a receiver can ignore repeats.
    id: String,
    team: TeamId,
    /// The user, for a user's budget.
    user: Option<String>,
    /// The key's id, for a gateway key's budget.
    key: Option<String>,
    /// `team:credits_per_month`.
    limit: String,
    #[serde(serialize_with = "decimal")]
    soft: Share,
    max: Credits,
    used: Credits,
    reserved: Credits,
    /// When the window ends; `null` for prepaid credits.
    reset: Option<Timestamp>,
    at: Timestamp,
}

impl Notice {
    /// The notice for a budget that is nearly used up.
    #[must_use]
    pub fn of(team: &TeamId, crossing: &Crossing) -> Self {
        let whose = crossing.whose().map(str::to_owned);
        let (user, key) = match &crossing.scope {
            Scope::Team => (None, None),
            Scope::User(_) | Scope::Account(_) => (whose, None),
            Scope::Key(_) => (None, whose),
        };
        Self {
            event: "budget_nearly_used",
            id: Uuid::now_v7().to_string(),
            team: team.clone(),
            user,
            key,
            limit: crossing.limit(),
            soft: crossing.soft,
            max: crossing.max,
            used: crossing.used,
            reserved: crossing.reserved,
            reset: crossing.reset_at,
            at: crossing.at,
        }
    }

    /// Id for the log.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The serialized body.
    #[must_use]
    pub fn written(&self) -> Bytes {
        // Cannot fail: all keys are strings.
        Bytes::from(printable::to_json(self).unwrap_or_default())
    }
}

/// Serializes a share as a decimal, like credits.
fn decimal<S: Serializer>(share: &Share, serializer: S) -> Result<S::Ok, S::Error> {
    Credits::from_micros(share.millionths().into()).serialize(serializer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::team::{LimitKind, UserId};

    #[test]
    fn a_notice_is_one_flat_object() {
        let crossing = Crossing {
            scope: Scope::User(UserId::parse("ana").unwrap()),
            kind: LimitKind::CreditsPerMonth,
            soft: "0.8".parse().unwrap(),
            max: "400".parse().unwrap(),
            used: "319.975".parse().unwrap(),
            reserved: "0.025".parse().unwrap(),
            reset_at: Some("2026-12-01T00:00:00Z".parse().unwrap()),
            at: "2026-11-22T14:26:00Z".parse().unwrap(),
        };
        let notice = Notice::of(&TeamId::parse("design").unwrap(), &crossing);
        let body: Value = serde_json::from_slice(&notice.written()).unwrap();
        let expected = json!({
            "event": "budget_nearly_used",
            "id": notice.id(),
            "team": "design",
            "user": "ana",
            "key": null,
            "limit": "user:credits_per_month",
            "soft": 0.8,
            "max": 400,
            "used": 319.975,
            "reserved": 0.025,
            "reset": "2026-12-01T00:00:00Z", "at": "2026-11-22T14:26:00Z",
        });
        assert_eq!(body, expected);
    }
}
