//! Promise 1, counted with every admission: no limit is passed, by what is known.

use std::collections::BTreeMap;

use super::losses::Certainty;
use super::promises::{Promises, Sum};
use super::state::State;
use crate::ledger::keeper::Changes;
use crate::ledger::machine::ScopeName;
use crate::ledger::machine::judgement::micros;
use crate::ledger::machine::record::Windows;
use crate::ledger::topup::with_top_ups;
use crate::team::limit::{Period, Shape, Unit};
use crate::team::{Limit, LimitKind};

impl Promises {
    /// What is admitted fits into the limits that were asked about, whatever was lost before: by
    /// what is known, no budget is fresh.
    pub(super) fn passes_no_limit(&mut self, changes: &Changes) {
        let mut by_limit: BTreeMap<(ScopeName, LimitKind), Vec<(Limit, Windows)>> = BTreeMap::new();
        for (id, record) in changes.opened.iter().filter(|(_, record)| !record.unread) {
            let levels = self.call(*id).asked_under.clone();
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
            // Some of them were asked about by somebody for whom this was not limited.
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

    /// A call takes a token from each bucket of a scope: none gives more than come back.
    pub(super) fn takes_tokens(&mut self, scope: &ScopeName) {
        let taken = self.tokens.entry(scope.clone()).or_default();
        *taken += 1;
        let (taken, forward) = (u128::from(*taken), u128::from(self.forward));
        let over: Vec<_> = (self.terms.limits_of(scope).iter())
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

    /// What admits nobody takes nothing from a bucket of those that admit.
    pub(super) fn takes_no_token(&mut self, state: &State, changes: &Changes) {
        for (name, record) in
            changes.scopes.iter().filter_map(|(name, record)| Some((name, record.as_ref()?)))
        {
            let Some(before) = state.scopes.get(name).filter(|_| name.level != "account") else {
                continue;
            };
            let mut buckets =
                self.terms.limits_of(name).into_iter().filter_map(|limit| {
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
