//! What operators decided while the gateway runs: gateway keys, and which teams and users are suspended. Kept in the
//! store, known whole to every replica.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Principal;
use super::record::KeyRecord;
use super::store::Entry;
use crate::team::{KeyId, Limits, ModelRules, TeamId, UserId};

/// Reads limits that were written in the words of the configuration file, as JSON; the error is every problem.
pub type ReadLimits = fn(&str) -> Result<Limits, Vec<String>>;

/// One state of the register. The default one was never read.
#[derive(Clone, Debug, Default)]
pub struct KeyRegistry {
    keys: HashMap<KeyId, Arc<StoredKey>>,
    suspensions: HashMap<TeamId, Suspension>,
    is_read: bool,
}

/// A key of the store whose terms can be understood.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// What is kept of it.
    pub record: KeyRecord,
    /// The models it is narrowed to.
    pub models: Option<Arc<ModelRules>>,
    /// Limits of its own.
    pub limits: Option<Arc<Limits>>,
    /// The entry it was read from: the same entry is not read again.
    entry: Vec<u8>,
}

/// Who of a team may not call, on top of what the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Nobody may.
    #[serde(default)]
    pub team: bool,
    /// These may not.
    #[serde(default)]
    pub users: BTreeSet<String>,
}

impl StoredKey {
    const fn is_revoked(&self) -> bool {
        self.record.revoked_at.is_some()
    }
}

/// Whether an entry says that its key is revoked; one that cannot be understood lets nobody in either.
fn is_revoked(id: &KeyId, entry: &[u8]) -> bool {
    KeyRecord::read(id.clone(), entry).is_none_or(|record| record.revoked_at.is_some())
}

impl Suspension {
    /// Reads what [`Self::written`] wrote.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The suspension as the store keeps it.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        // Texts and truths always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether a user of the team may not call.
    #[must_use]
    pub fn holds_for(&self, user: &UserId) -> bool {
        self.team || self.users.contains(user.as_str())
    }
}

/// An entry as it is known, which the store does not have any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its name.
    pub name: String,
    /// What the store has in its place.
    pub found: Option<Vec<u8>>,
    /// What it said.
    pub known: Vec<u8>,
}

/// The name of a key's entry.
#[must_use]
pub fn key_entry(id: &KeyId) -> String {
    format!("key:{id}")
}

/// The name of the entry that says who of a team is suspended.
#[must_use]
pub fn team_entry(team: &TeamId) -> String {
    format!("team:{team}")
}

impl KeyRegistry {
    /// Reads all entries of a store. What cannot be understood was written by another version: a key of that kind lets
    /// nobody in, and a team of that kind is suspended; both are told. Of thousands of keys one changes at a time, so
    /// what stands in `before` with the same words is taken from there.
    #[must_use]
    pub fn read(entries: Vec<Entry>, before: &Self, read_limits: ReadLimits) -> Self {
        let mut register = Self { is_read: true, ..Self::default() };
        for (name, bytes) in entries {
            let understood = match name.split_once(':') {
                Some(("key", id)) => register.add_key(id, bytes, before, read_limits),
                Some(("team", team)) => register.add_team(team, &bytes),
                Some(_) | None => None,
            };
            if understood.is_none() {
                tracing::error!(
                    name,
                    "an entry of the register of keys and suspensions cannot be read, and is left out"
                );
            }
        }
        register
    }

    fn add_key(&mut self, id: &str, entry: Vec<u8>, before: &Self, read_limits: ReadLimits) -> Option<()> {
        if let Some(known) = before.keys.get(id).filter(|known| known.entry == entry) {
            self.keys.insert(known.record.id.clone(), Arc::clone(known));
            return Some(());
        }
        let record = KeyRecord::read(KeyId::parse(id)?, &entry)?;
        let models = match &record.models {
            Some(rules) => Some(Arc::new(ModelRules::parse(rules.iter().map(String::as_str)).ok()?)),
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

    /// What a store that has these entries must have lost. Entries are kept for ever and a revocation is final, so one
    /// that is missing, and a key that is not revoked any more, are from before something that is known. A suspension
    /// that came back or went is not told from one that an operator changed.
    #[must_use]
    pub fn lost_from(&self, entries: &[Entry]) -> Vec<Lost> {
        let found: HashMap<&str, &Vec<u8>> = entries.iter().map(|(name, entry)| (name.as_str(), entry)).collect();
        let keys = self.keys.values().map(|key| (key_entry(&key.record.id), key.entry.clone(), Some(key)));
        let teams = self.suspensions.iter().map(|(team, suspension)| (team_entry(team), suspension.written(), None));
        let lost = keys.chain(teams).filter_map(|(name, known, key)| {
            let found = found.get(name.as_str()).map(|entry| (*entry).clone());
            let is_older = match (&found, key) {
                (None, _) => true,
                (Some(found), Some(key)) => *found != known && key.is_revoked() && !is_revoked(&key.record.id, found),
                (Some(_), None) => false,
            };
            is_older.then_some(Lost { name, found, known })
        });
        lost.collect()
    }

    /// Whether it was read at all: until then nothing is known of any key that it does not have.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        self.is_read
    }

    /// The keys, in no order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Arc<StoredKey>> {
        self.keys.values()
    }

    /// A key.
    #[must_use]
    pub fn key(&self, id: &KeyId) -> Option<&Arc<StoredKey>> {
        self.keys.get(id)
    }

    /// Who of a team is suspended.
    #[must_use]
    pub fn suspension(&self, team: &TeamId) -> Option<&Suspension> {
        self.suspensions.get(team)
    }

    /// Whether somebody may not call at present.
    #[must_use]
    pub fn suspends(&self, principal: &Principal) -> bool {
        // Nearly always nobody is suspended: then nothing is looked up.
        let suspension = if self.suspensions.is_empty() { None } else { self.suspensions.get(&principal.team) };
        suspension.is_some_and(|suspension| suspension.holds_for(&principal.user))
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, &[u8])]) -> KeyRegistry {
        let entries = entries.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        KeyRegistry::read(entries, &KeyRegistry::default(), |_| Ok(Limits::default()))
    }

    #[test]
    fn a_suspension_holds_for_the_team_or_for_single_users() {
        let suspended = Suspension { team: false, users: BTreeSet::from(["mallory".to_owned()]) };
        let register =
            read(&[("team:design", &suspended.written()), ("team:growth", &Suspension::default().written())]);
        let team = TeamId::parse("design").expect("a team");
        let held = register.suspension(&team).expect("a suspension");
        let user = |name| UserId::parse(name).expect("a user");
        assert!(held.holds_for(&user("mallory")) && !held.holds_for(&user("ann")));
        assert!(Suspension { team: true, ..Suspension::default() }.holds_for(&user("ann")));
        assert_eq!(register.suspension(&TeamId::parse("growth").expect("a team")), None);
    }

    #[test]
    fn an_entry_that_did_not_change_is_not_read_again() {
        let entry = |name: &str| {
            let secret = r#"{"sha256":"41ba696bc2822924f7cba0ce211bfddfe653ceb3c981255a1775bebf110bf42d","made_at":"2026-11-22T14:26:08Z","ends_at":null}"#;
            let text = format!(
                r#"{{"team":"design","name":"{name}","user":null,"models":null,"limits":{{}},"secrets":[{secret}],"created_at":"2026-11-22T14:26:08Z","created_by":"ops","expires_at":null,"revoked_at":null}}"#
            );
            vec![("key:k7Qp2mZr9aBc".to_owned(), text.into_bytes())]
        };
        let first = KeyRegistry::read(entry("ci"), &KeyRegistry::default(), |_| Ok(Limits::default()));
        let never = |_: &str| Err(vec!["asked".to_owned()]);
        assert_eq!(KeyRegistry::read(entry("ci"), &first, never).keys().len(), 1);
        assert_eq!(KeyRegistry::read(entry("laptop"), &first, never).keys().len(), 0);
    }

    #[test]
    fn what_a_store_must_have_lost_is_what_is_missing_and_what_is_not_revoked_any_more() {
        let entry = |revoked_at: &str| {
            let secret = r#"{"sha256":"41ba696bc2822924f7cba0ce211bfddfe653ceb3c981255a1775bebf110bf42d","made_at":"2026-11-22T14:26:08Z","ends_at":null}"#;
            format!(
                r#"{{"team":"design","name":"ci","user":null,"models":null,"limits":{{}},"secrets":[{secret}],"created_at":"2026-11-22T14:26:08Z","created_by":"ops","expires_at":null,"revoked_at":{revoked_at}}}"#
            )
        };
        let (good, revoked) = (entry("null"), entry(r#""2026-11-23T10:00:00Z""#));
        let suspended = Suspension { team: true, users: BTreeSet::new() }.written();
        let known = read(&[("key:k7Qp2mZr9aBc", revoked.as_bytes()), ("team:design", &suspended)]);
        let lost = |entries: &[(&str, &[u8])]| {
            let entries: Vec<_> = entries.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
            let mut lost = known.lost_from(&entries);
            lost.sort_by(|one, other| one.name.cmp(&other.name));
            lost.into_iter().map(|Lost { name, found, known }| (name, found, known)).collect::<Vec<_>>()
        };
        let key = |found| ("key:k7Qp2mZr9aBc".to_owned(), found, revoked.clone().into_bytes());
        let team = ("team:design".to_owned(), None, suspended.clone());
        assert_eq!(lost(&[]), [key(None), team]);
        assert_eq!(
            lost(&[("key:k7Qp2mZr9aBc", good.as_bytes()), ("team:design", b"{}")]),
            [key(Some(good.clone().into_bytes()))],
            "a team may have been resumed, a revoked key never comes back"
        );
        assert_eq!(lost(&[("key:k7Qp2mZr9aBc", revoked.as_bytes()), ("team:design", &suspended)]), []);
    }

    #[test]
    fn what_cannot_be_understood_lets_nobody_in() {
        let register = read(&[("team:design", b"{\"team\":3}"), ("key:k7Qp2mZr9aBc", b"{}"), ("other", b"")]);
        assert!(register.is_read() && register.keys().len() == 0);
        let suspension = register.suspension(&TeamId::parse("design").expect("a team"));
        assert!(suspension.is_some_and(|suspension| suspension.team));
        assert!(!KeyRegistry::default().is_read());
    }
}
