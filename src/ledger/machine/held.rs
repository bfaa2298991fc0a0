//! What scopes hold for calls that are not accounted for yet, after a loss.

use std::collections::BTreeMap;

use super::record::{ReservationRecord, ScopeName, ScopeRecord};
use crate::ledger::Scope;

/// A scope and a day.
pub(super) type ScopeDay = (ScopeName, String);

/// What each scope holds in a day's window for unaccounted calls: requests and credits.
#[derive(Clone, Debug)]
pub(super) struct Held(BTreeMap<ScopeDay, (u64, u64)>);

impl Held {
    /// Everything that these scopes hold.
    pub(super) fn by(scopes: &[(ScopeName, ScopeRecord)]) -> Self {
        let days = scopes
            .iter()
            .flat_map(|(name, record)| record.held_by_day().map(move |held| (name, held)));
        let held = days.map(|(name, (day, requests, credits))| {
            ((name.clone(), day.to_string()), (requests, credits))
        });
        Self(held.collect())
    }

    /// What a scope holds on a day.
    pub(super) fn of(&self, scope: &ScopeDay) -> (u64, u64) {
        self.0.get(scope).copied().unwrap_or_default()
    }

    /// Whether everything that a call holds is there.
    pub(super) fn fits(&self, record: &ReservationRecord) -> bool {
        scopes_of(record).all(|scope| self.has_room(&scope, record.price))
    }

    /// Whether a scope holds a call of this price.
    pub(super) fn has_room(&self, scope: &ScopeDay, price: u64) -> bool {
        let (requests, credits) = self.of(scope);
        requests > 0 && credits >= price
    }

    /// A key that holds a call of this price on a day.
    pub(super) fn key_for(&self, day: &str, price: u64) -> Option<&ScopeName> {
        let mut keys = self.0.keys().filter(|(name, of)| name.level == "key" && of == day);
        keys.find(|key| self.has_room(key, price)).map(|(name, _)| name)
    }

    /// Accounts for a call.
    pub(super) fn take(&mut self, record: &ReservationRecord) {
        self.each_of(record, |(requests, credits)| {
            (requests.saturating_sub(1), credits.saturating_sub(record.price))
        });
    }

    /// Takes back that a call was accounted for.
    pub(super) fn give_back(&mut self, record: &ReservationRecord) {
        self.each_of(record, |(requests, credits)| (requests + 1, credits + record.price));
    }

    fn each_of(&mut self, record: &ReservationRecord, change: impl Fn((u64, u64)) -> (u64, u64)) {
        for scope in scopes_of(record) {
            if let Some(held) = self.0.get_mut(&scope) {
                *held = change(*held);
            }
        }
    }

    /// The scopes and days, users before their team, because the team holds what its users do.
    pub(super) fn users_first(&self) -> Vec<ScopeDay> {
        let of = |level: &str| {
            self.0.keys().filter(move |(name, _)| name.level == level).cloned().collect::<Vec<_>>()
        };
        [of("user"), of("team")].concat()
    }

    /// What scopes of these levels hold.
    pub(super) fn at<'a>(
        &'a self,
        levels: &'a [&str],
    ) -> impl Iterator<Item = (&'a ScopeDay, (u64, u64))> + 'a {
        let of = self.0.iter().map(|(scope, held)| (scope, *held));
        of.filter(|((name, _), _)| levels.contains(&&*name.level))
    }

    /// The days on which the team holds credits for no call at all, and how many.
    pub(super) fn without_a_call(&self) -> Vec<(String, u64)> {
        let left =
            self.at(&["team"]).filter(|(_, (requests, credits))| *requests == 0 && *credits > 0);
        left.map(|((_, day), (_, credits))| (day.clone(), credits)).collect()
    }

    /// Accounts for those credits.
    pub(super) fn take_without_a_call(&mut self, day: &str) {
        let of_team = (ScopeName::from(&Scope::Team), day.to_owned());
        if let Some((_, credits)) = self.0.get_mut(&of_team) {
            *credits = 0;
        }
    }
}

fn scopes_of(record: &ReservationRecord) -> impl Iterator<Item = ScopeDay> + '_ {
    record.scopes.iter().map(|scope| (scope.clone(), record.windows.day.clone()))
}

/// The prices of calls that hold these credits together, as equal as they can be.
pub(super) fn prices(requests: u64, credits: u64) -> impl Iterator<Item = u64> {
    (0..requests).map(move |place| credits / requests + u64::from(place < credits % requests))
}
