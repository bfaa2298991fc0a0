//! Checks promise 1 with every admission: no limit is exceeded by what is known.

use std::collections::BTreeMap;

use super::checker::{Checker, Sum};
use super::losses::Certainty;
use super::state::State;
use crate::ledger::keeper::Changes;
use crate::ledger::machine::ScopeName;
use crate::ledger::machine::judgement::micros;
use crate::ledger::machine::windows::Windows;
use crate::ledger::topup::with_top_ups;
use crate::team::limit::{Period, Shape, Unit};
use crate::team::{Limit, LimitKind};

impl Checker {
    /// Checks that an admitted call fits into the limits of its request, even after losses.
    pub(super) fn passes_no_limit(&mut self, changes: &Changes) {
        let mut by_limit: BTreeMap<(ScopeName, LimitKind), Vec<(Limit, Windows)>> = BTreeMap::new();
        for (id, record) in changes.opened.iter().filter(|(_, record)| !record.unread) {
            let levels = self.call(*id).known_limits.clone();
            for level in &levels {
                for limit in level.limits.iter().filter(|limit| !limit.shadow) {
                    let key = (ScopeName::from(&level.scope), limit.kind);
                    by_limit.entry(key).or_default().push((*limit, record.windows.clone()));
                }
            }
        }
        for ((name, kind), limits) in by_limit {
            let in_scope =
                changes.opened.values().filter(|record| record.scopes.contains(&name)).count();
            let Some(Some(record)) = changes.scopes.get(&name) else { continue };
            // Some calls were admitted by a process that did not know this limit.
            if limits.len() < in_scope {
                continue;
            }
            let most = limits.iter().map(|(limit, _)| limit.max).max().unwrap_or(0);
            for (_, windows) in limits {
                let (used, most) = match kind.shape() {
                    Shape::Window(period, unit) => {
                        let [calls, open, credits, held]: Sum =
                            record.counts(period, &windows).into();
                        let used =
                            if unit == Unit::Requests { calls + open } else { credits + held };
                        (
                            used,
                            if period == Period::Total {
                                with_top_ups(most, record.topped_up())
                            } else {
                                most
                            },
                        )
                    }
                    Shape::Slots => (record.slots(), most),
                    Shape::Bucket(_) => continue,
                };
                self.hold(used <= most, || {
                    format!("{name:?} has {used} of {most} when somebody is admitted: {kind}")
                });
            }
        }
    }

    /// Counts the tokens that a call takes from the buckets of a scope, and checks that no bucket
    /// gives more than it refills.
    pub(super) fn takes_tokens(&mut self, scope: &ScopeName) {
        let taken = self.tokens.entry(scope.clone()).or_default();
        *taken += 1;
        let (taken, forward) = (u128::from(*taken), u128::from(self.forward));
        let over: Vec<_> = (self.scenario.limits_of(scope).iter())
            .filter_map(|limit| match limit.kind.shape() {
                Shape::Bucket(period) => Some((limit, u128::from(micros(period)))),
                Shape::Window(..) | Shape::Slots => None,
            })
            .filter(|(limit, period)| {
                taken * period > u128::from(limit.burst) * period + u128::from(limit.max) * forward
            })
            .map(|(limit, _)| limit.kind)
            .collect();
        let is_known = self.losses.certainty == Certainty::Whole;
        self.hold(over.is_empty() || !is_known, || {
            format!("{scope:?} gave {taken} tokens in {forward} µs: {over:?}")
        });
    }

    /// Checks that a write without an admission takes no token.
    pub(super) fn takes_no_token(&mut self, state: &State, changes: &Changes) {
        for (name, record) in
            changes.scopes.iter().filter_map(|(name, record)| Some((name, record.as_ref()?)))
        {
            let Some(before) = state.scopes.get(name).filter(|_| name.level != "account") else {
                continue;
            };
            let mut buckets = self.scenario.limits_of(name).into_iter().filter_map(|limit| {
                match limit.kind.shape() {
                    Shape::Bucket(period) => Some(micros(period)),
                    Shape::Window(..) | Shape::Slots => None,
                }
            });
            let as_before = buckets.all(|period| before.bucket(period) == record.bucket(period));
            self.hold(as_before, || format!("{name:?} gave a token to nobody"));
        }
    }
}
