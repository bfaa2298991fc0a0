//! Gateway keys and suspensions that operators changed at run time. Kept in the store; every
//! replica knows all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Principal;
use super::record::KeyRecord;
use super::store::Entry;
use crate::team::{KeyId, Limits, ModelRules, TeamId, UserId};

/// Parses limits in the form of the configuration file, as JSON; the error has every problem.
pub type ReadLimits = fn(&str) -> Result<Limits, Vec<String>>;

/// One state of the registry. The default one was never read.
#[derive(Clone, Debug, Default)]
pub struct KeyRegistry {
    keys: HashMap<KeyId, Arc<StoredKey>>,
    suspensions: HashMap<TeamId, Suspension>,
    is_read: bool,
}

/// A key of the store that was understood.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// The stored record.
    pub record: KeyRecord,
    /// Models it is restricted to.
    pub models: Option<Arc<ModelRules>>,
    /// Limits of its own.
    pub limits: Option<Arc<Limits>>,
    /// The stored entry, so that an unchanged one is not parsed again.
    entry: Vec<u8>,
}

/// Suspensions in a team, beyond those in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// The whole team is suspended.
    #[serde(default)]
    pub team: bool,
    /// The suspended users.
    #[serde(default)]
    pub users: BTreeSet<String>,
}

impl StoredKey {
    /// Whether the suspension was lifted.
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        self.record.revoked_at.is_some()
    }
}

/// Whether an entry says that its key is revoked. An entry that is not understood counts as
/// revoked.
fn is_revoked(id: &KeyId, entry: &[u8]) -> bool {
    KeyRecord::read(id.clone(), entry).is_none_or(|record| record.revoked_at.is_some())
}

impl Suspension {
    /// Parses what [`Self::written`] wrote.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The suspension as stored.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        // Cannot fail: strings and booleans always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether it applies to a user of the team.
    #[must_use]
    pub fn holds_for(&self, user: &UserId) -> bool {
        self.team || self.users.contains(user.as_str())
    }
}

/// A known entry that the store has lost.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost {
    /// The name.
    pub name: String,
    /// The store's entry instead.
    pub found: Option<Vec<u8>>,
    /// The last known content.
    pub known: Vec<u8>,
}

/// Name of a key's entry.
#[must_use]
pub fn key_entry(id: &KeyId) -> String {
    format!("key:{id}")
}

/// Name of the entry that lists operators' latest changes, which has no effect on callers.
pub const CHANGES_ENTRY: &str = "changes";

/// Name of a team's entry of suspensions.
#[must_use]
pub fn team_entry(team: &TeamId) -> String {
    format!("team:{team}")
}

impl KeyRegistry {
    /// Parses all entries of a store. Entries that are not understood were written by another
    /// version: such a key is refused and such a team suspended, with a warning. Only a few of
    /// thousands of keys change at a time, so unchanged entries are taken from `before`.
    #[must_use]
    pub fn read(entries: Vec<Entry>, before: &Self, read_limits: ReadLimits) -> Self {
        let mut registry = Self { is_read: true, ..Self::default() };
        for (name, bytes) in entries {
            let understood = match name.split_once(':') {
                Some(("key", id)) => registry.add_key(id, bytes, before, read_limits),
                Some(("team", team)) => registry.add_team(team, &bytes),
                Some(_) | None if name == CHANGES_ENTRY => Some(()),
                Some(_) | None => None,
            };
            if understood.is_none() {
                tracing::error!(
                    name,
                    "an entry of the key registry cannot be read, and is left out"
                );
            }
        }
        registry
    }

    fn add_key(
        &mut self,
        id: &str,
        entry: Vec<u8>,
        before: &Self,
        read_limits: ReadLimits,
    ) -> Option<()> {
        if let Some(known) = before.keys.get(id).filter(|known| known.entry == entry) {
            self.keys.insert(known.record.id.clone(), Arc::clone(known));
            return Some(());
        }
        let record = KeyRecord::read(KeyId::parse(id)?, &entry)?;
        let models = match &record.models {
            Some(rules) => {
                Some(Arc::new(ModelRules::parse(rules.iter().map(String::as_str)).ok()?))
            }
            None => None,
        };
        let limits = read_limits(&record.limits.to_string()).ok()?;
        let limits = (!limits.is_empty()).then(|| Arc::new(limits));
        self.keys.insert(record.id.clone(), Arc::new(StoredKey { record, models, limits, entry }));
        Some(())
    }

    fn add_team(&mut self, team: &str, bytes: &[u8]) -> Option<()> {
        let team = TeamId::parse(team)?;
        let understood = Suspension::read(bytes);
        let is_understood = understood.is_some();
        let suspension = understood.unwrap_or(Suspension { team: true, users: BTreeSet::new() });
        if suspension != Suspension::default() {
            self.suspensions.insert(team, suspension);
        }
        is_understood.then_some(())
    }

    /// What a store with these entries must have lost. Entries are never deleted and revocations
    /// are final, so a missing entry, or a key that is no longer revoked, shows that the store went
    /// back to an older state. A suspension may have been changed by an operator, so it shows
    /// nothing.
    #[must_use]
    pub fn lost_from(&self, entries: &[Entry]) -> Vec<Lost> {
        let found: HashMap<&str, &Vec<u8>> =
            entries.iter().map(|(name, entry)| (name.as_str(), entry)).collect();
        let keys =
            self.keys.values().map(|key| (key_entry(&key.record.id), key.entry.clone(), Some(key)));
        let teams = self
            .suspensions
            .iter()
            .map(|(team, suspension)| (team_entry(team), suspension.written(), None));
        let lost = keys.chain(teams).filter_map(|(name, known, key)| {
            let found = found.get(name.as_str()).map(|entry| (*entry).clone());
            let is_older = match (&found, key) {
                (None, _) => true,
                (Some(found), Some(key)) => {
                    *found != known && key.is_revoked() && !is_revoked(&key.record.id, found)
                }
                (Some(_), None) => false,
            };
            is_older.then_some(Lost { name, found, known })
        });
        lost.collect()
    }

    /// Whether it was read at all; before that, unknown keys may still exist.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        self.is_read
    }

    /// The keys, in no order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Arc<StoredKey>> {
        self.keys.values()
    }

    /// The key with this id.
    #[must_use]
    pub fn key(&self, id: &KeyId) -> Option<&Arc<StoredKey>> {
        self.keys.get(id)
    }

    /// Suspensions in a team.
    #[must_use]
    pub fn suspension(&self, team: &TeamId) -> Option<&Suspension> {
        self.suspensions.get(team)
    }

    /// Whether a caller is suspended.
    #[must_use]
    pub fn suspends(&self, principal: &Principal) -> bool {
        // Fast path: usually there is no suspension.
        let suspension =
            if self.suspensions.is_empty() { None } else { self.suspensions.get(&principal.team) };
        suspension.is_some_and(|suspension| suspension.holds_for(&principal.user))
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, &[u8])]) -> KeyRegistry {
        let entries =
            entries.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        KeyRegistry::read(entries, &KeyRegistry::default(), |_| Ok(Limits::default()))
    }

    #[test]
    fn a_suspension_holds_for_the_team_or_for_single_users() {
        let suspended = Suspension { team: false, users: BTreeSet::from(["mallory".to_owned()]) };
        let registry = read(&[
            ("team:design", &suspended.written()),
            ("team:growth", &Suspension::default().written()),
        ]);
        let team = TeamId::parse("design").expect("a team");
        let held = registry.suspension(&team).expect("a suspension");
        let user = |name| UserId::parse(name).expect("a user");
        assert!(held.holds_for(&user("mallory")) && !held.holds_for(&user("ann")));
        assert!(Suspension { team: true, ..Suspension::default() }.holds_for(&user("ann")));
        assert_eq!(registry.suspension(&TeamId::parse("growth").expect("a team")), None);
    }

    /// A key as it stands in the store.
    fn written_key(name: &str, revoked_at: &str) -> String {
        let made_at = "2026-11-22T14:26:08Z";
        let sha256 = "41ba696bc2822924f7cba0ce211bfddfe653ceb3c981255a1775bebf110bf42d";
        let secret = format!(r#"{{"sha256":"{sha256}","made_at":"{made_at}","ends_at":null}}"#);
        format!(
            r#"{{
                "team": "design", "name": "{name}", "user": null, "models": null, "limits": {{}},
                "secrets": [{secret}], "created_at": "{made_at}", "created_by": "ops",
                "expires_at": null, "revoked_at": {revoked_at}
            }}"#
        )
    }

    #[test]
    fn an_entry_that_did_not_change_is_not_read_again() {
        let entry = |name: &str| {
            vec![("key:k7Qp2mZr9aBc".to_owned(), written_key(name, "null").into_bytes())]
        };
        let first =
            KeyRegistry::read(entry("ci"), &KeyRegistry::default(), |_| Ok(Limits::default()));
        let never = |_: &str| Err(vec!["asked".to_owned()]);
        assert_eq!(KeyRegistry::read(entry("ci"), &first, never).keys().len(), 1);
        assert_eq!(KeyRegistry::read(entry("laptop"), &first, never).keys().len(), 0);
    }

    /// A registry where a key is no longer revoked has lost an entry as well.
    #[test]
    fn a_store_that_lacks_known_entries_has_lost_them() {
        let good = written_key("ci", "null");
        let revoked = written_key("ci", r#""2026-11-23T10:00:00Z""#);
        let suspended = Suspension { team: true, users: BTreeSet::new() }.written();
        let known = read(&[("key:k7Qp2mZr9aBc", revoked.as_bytes()), ("team:design", &suspended)]);
        let lost = |entries: &[(&str, &[u8])]| {
            let entries: Vec<_> =
                entries.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
            let mut lost = known.lost_from(&entries);
            lost.sort_by(|one, other| one.name.cmp(&other.name));
            lost.into_iter()
                .map(|Lost { name, found, known }| (name, found, known))
                .collect::<Vec<_>>()
        };
        let key = |found| ("key:k7Qp2mZr9aBc".to_owned(), found, revoked.clone().into_bytes());
        let team = ("team:design".to_owned(), None, suspended.clone());
        assert_eq!(lost(&[]), [key(None), team]);
        assert_eq!(
            lost(&[("key:k7Qp2mZr9aBc", good.as_bytes()), ("team:design", b"{}")]),
            [key(Some(good.clone().into_bytes()))],
            "a team may have been resumed, a revoked key never comes back"
        );
        assert_eq!(
            lost(&[("key:k7Qp2mZr9aBc", revoked.as_bytes()), ("team:design", &suspended)]),
            []
        );
    }

    #[test]
    fn what_cannot_be_understood_lets_nobody_in() {
        let registry =
            read(&[("team:design", b"{\"team\":3}"), ("key:k7Qp2mZr9aBc", b"{}"), ("other", b"")]);
        assert!(registry.is_read() && registry.keys().len() == 0);
        let suspension = registry.suspension(&TeamId::parse("design").expect("a team"));
        assert!(suspension.is_some_and(|suspension| suspension.team));
        assert!(!KeyRegistry::default().is_read());
    }
}
