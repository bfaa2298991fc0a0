//! Checks of teams: names, models, limits and state.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{Check, optional};
use crate::config::file::team::{Bucket, Budget, Count, Limits as Shape, Quota, Team as TeamShape};
use crate::config::report::KeyPath;
use crate::model::ModelId;
use crate::pricing::PriceTable;
use crate::printable;
use crate::team::{Limit, LimitKind, Limits, ModelRules, State, Team, TeamId, UserId};

impl Check<'_> {
    pub(super) fn team(
        &mut self,
        name: &str,
        shape: &TeamShape,
        path: &KeyPath,
        zone: Option<&TimeZone>,
        prices: Option<&Arc<PriceTable>>,
    ) -> Option<Team> {
        let id = TeamId::parse(name);
        if id.is_none() {
            self.report.add(
                path,
                "is no name of a team: 1 to 64 letters, digits, '.', '_' and '-', the first a \
                 letter or digit",
            );
        }
        let models = self.model_rules(&shape.models, &path.key("models"));
        let limits = self.limits(&shape.limits, &path.key("limits"));
        let user_limits = self.limits(&shape.user_limits, &path.key("user_limits"));
        let time_zone = match &shape.time_zone {
            Some(name) => self.time_zone(name, &path.key("time_zone")),
            None => zone.cloned(),
        };
        let suspended_users = self.users(&shape.suspended_users, &path.key("suspended_users"));
        Some(Team {
            id: id?,
            state: if shape.suspended { State::Suspended } else { State::Active },
            suspended_users,
            models: models?,
            limits: Arc::new(limits?),
            user_limits: Arc::new(user_limits?),
            weight: shape.weight,
            time_zone: time_zone?,
            prices: Arc::clone(prices?),
        })
    }

    pub(super) fn model_rules(&mut self, rules: &[String], path: &KeyPath) -> Option<ModelRules> {
        for (index, rule) in rules.iter().enumerate() {
            if ModelRules::parse([rule.as_str()]).is_err() {
                let message = format!(
                    "must be a model id, prefix/* or *, with ! in front to deny; not {rule:?}"
                );
                self.report.add(&path.item(index), message);
            }
        }
        let parsed = ModelRules::parse(rules.iter().map(String::as_str)).ok()?;
        self.warn_of_unpriced(rules, &parsed, path);
        Some(parsed)
    }

    /// Warns of rules that match no priced model: their calls are refused with `model_unknown`.
    fn warn_of_unpriced(&mut self, rules: &[String], all: &ModelRules, path: &KeyPath) {
        let Some(prices) = self.priced.clone().filter(|prices| prices.unknown_model.is_none())
        else {
            return;
        };
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| !rule.starts_with('!')) {
            let Ok(alone) = ModelRules::parse([rule.as_str()]) else { continue };
            let model = ModelId::parse(rule);
            // A model that another rule denies needs no price.
            let is_denied = model.as_ref().is_some_and(|model| !all.allow(model));
            if is_denied || prices.models.keys().any(|model| alone.allow(model)) {
                continue;
            }
            let message = match model {
                Some(model) => {
                    let meant = prices
                        .nearest(&model, |_| true)
                        .map(|near| format!("; did you mean {near}?"));
                    format!(
                        "{rule} has no price under pricing.models: its calls are refused{}",
                        meant.unwrap_or_default()
                    )
                }
                None => format!("no model under pricing.models fits {rule}: it allows nothing"),
            };
            self.report.warn(&path.item(index), message);
        }
    }

    pub(in crate::config) fn limits(&mut self, shape: &Shape, path: &KeyPath) -> Option<Limits> {
        use LimitKind as Kind;
        let buckets = [
            (Kind::RequestsPerSecond, &shape.requests_per_second),
            (Kind::RequestsPerMinute, &shape.requests_per_minute),
            (Kind::RequestsPerHour, &shape.requests_per_hour),
        ];
        let quotas = [
            (Kind::RequestsPerDay, &shape.requests_per_day),
            (Kind::RequestsPerMonth, &shape.requests_per_month),
        ];
        let budgets = [
            (Kind::CreditsPerDay, &shape.credits_per_day),
            (Kind::CreditsPerMonth, &shape.credits_per_month),
            (Kind::CreditsTotal, &shape.credits_total),
        ];
        let mut limits: Vec<Option<Limit>> = Vec::new();
        for (kind, bucket) in buckets {
            limits.extend(
                bucket.as_ref().map(|bucket| self.bucket(kind, bucket, &path.key(kind.name()))),
            );
        }
        limits.extend(
            quotas.into_iter().filter_map(|(kind, shape)| Some(Some(quota(kind, shape.as_ref()?)))),
        );
        limits.extend(shape.concurrent.as_ref().map(|shape| Some(slots(shape))));
        for (kind, budget) in budgets {
            limits.extend(
                budget.as_ref().map(|budget| self.budget(kind, budget, &path.key(kind.name()))),
            );
        }
        Some(Limits::new(limits.into_iter().collect::<Option<Vec<_>>>()?))
    }

    fn bucket(&mut self, kind: LimitKind, shape: &Bucket, path: &KeyPath) -> Option<Limit> {
        match shape {
            Bucket::Plain(max) => Some(Limit::new(kind, *max)),
            Bucket::Full(full)
                if full.limit == 0 && full.burst.is_some() && self.was_read(&path.key("limit")) =>
            {
                self.report.add(
                    &path.key("burst"),
                    "has no effect beside a limit of 0, which lets nothing through",
                );
                None
            }
            Bucket::Full(full) => Some(Limit {
                burst: full.burst.unwrap_or(full.limit),
                shadow: full.shadow,
                ..Limit::new(kind, full.limit)
            }),
        }
    }

    fn budget(&mut self, kind: LimitKind, shape: &Budget, path: &KeyPath) -> Option<Limit> {
        let full = match shape {
            Budget::Plain(text) => {
                return Some(Limit::new(kind, self.credits(text, path)?.micros()));
            }
            Budget::Full(full) => full,
        };
        let credits = self.credits(&full.limit, &path.key("limit"));
        let soft = full.soft.as_ref().map(|text| self.share(text, &path.key("soft")));
        let soft = optional(soft)?;
        Some(Limit { shadow: full.shadow, soft, ..Limit::new(kind, credits?.micros()) })
    }

    fn users(&mut self, names: &[String], path: &KeyPath) -> HashSet<UserId> {
        let mut seen = BTreeSet::new();
        let mut users = HashSet::new();
        for (index, name) in names.iter().enumerate() {
            let path = path.item(index);
            self.distinct(&mut seen, name, "entry", &path);
            if !printable::is_trimmed(name) {
                let remedy =
                    "suspend a user whose tokens have such a name with moongate teams suspend";
                self.report.add(
                    &path,
                    format!("must not begin or end with white space, as {name:?} does; {remedy}"),
                );
            }
            users.extend(self.user(name, &path));
        }
        users
    }

    pub(super) fn user(&mut self, name: &str, path: &KeyPath) -> Option<UserId> {
        let wrong =
            || format!("must be 1 to {} bytes without control characters", UserId::BYTES_MAX);
        self.noting(UserId::parse(name).ok_or_else(wrong), path)
    }
}

const fn quota(kind: LimitKind, shape: &Quota) -> Limit {
    match shape {
        Quota::Plain(max) => Limit::new(kind, *max),
        Quota::Full(full) => Limit { shadow: full.shadow, ..Limit::new(kind, full.limit) },
    }
}

const fn slots(shape: &Count) -> Limit {
    match shape {
        Count::Plain(max) => Limit::new(LimitKind::Concurrent, *max),
        Count::Full(full) => {
            Limit { shadow: full.shadow, ..Limit::new(LimitKind::Concurrent, full.limit) }
        }
    }
}
