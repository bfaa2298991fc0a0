//! The names of a team's keys in Redis: all in one hash slot, and never the same for two things.

use std::fmt::Write as _;

use jiff::civil::Date;

use crate::identity::KeyId;
use crate::ledger::{Asked, ReservationId, Scope};
use crate::replay::KeyHash;
use crate::request::RequestId;
use crate::team::{TeamId, UserId};

/// The layout's version: a release that stores things differently takes another, and old keys are never misread.
const LAYOUT: &str = "mg1";

/// Set: the teams of which the store has something, and `*` once it may have new ones. Of all teams, so it is in nobody's
/// hash slot.
pub(super) const TEAMS: &str = "mg1:teams";

/// Hash: a primary's reign → since when it is known, in microseconds; and what an operator accepted in it. In one slot with
/// the teams.
pub(super) const REIGNS: &str = "mg1:{mg1:teams}:reigns";

/// The keys of one team. A team's name has no braces, so it is the whole hash tag.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Sorted set: open reservation → deadline.
    pub(super) open: String,
    /// Hash: open reservation → what it holds.
    pub(super) held: String,
    /// List: one entry per settlement that cost something, newest first.
    pub(super) rows: String,
}

impl Keys {
    pub(super) fn of(team: &TeamId) -> Self {
        let key = |what: &str| key(team, what);
        Self { open: key("open"), held: key("held"), rows: key(ROWS) }
    }
}

/// The name of the rows behind the team's prefix.
pub(super) const ROWS: &str = "rows";
/// The name of the rows of calls that cost nothing.
pub(super) const FREE_ROWS: &str = "rows:free";

/// List: one entry per settlement that cost nothing, newest first.
pub(super) fn free_rows_key(team: &TeamId) -> String {
    key(team, FREE_ROWS)
}

/// Hash: the windows of the team itself, and what is known of the team as a whole.
pub(super) fn team_scope_key(team: &TeamId) -> String {
    key(team, "s:team")
}

/// Hash: what one day's calls came to, by model and user.
pub(super) fn usage_key(team: &TeamId, day: Date) -> String {
    key(team, &usage_name(day))
}

/// The same behind the team's prefix.
pub(super) fn usage_name(day: Date) -> String {
    format!("usage:{day}")
}

/// String, for a while: the mark that a handle leaves before it asks whether a team is new (see `vouch`).
pub(super) fn vouched_key(team: &TeamId, voucher: u64) -> String {
    key(team, &format!("vouched:{voucher}"))
}

fn key(team: &TeamId, what: &str) -> String {
    format!("{LAYOUT}:{{{team}}}:{what}")
}

/// The keys of what is remembered of one team's calls.
pub(super) struct ReplayKeys {
    /// Sorted set: the bodies that are kept, by their end.
    pub(super) bodies: String,
    /// How many bytes they are together.
    pub(super) bytes: String,
    /// Sorted set: the newest calls of which something is kept, by its end.
    pub(super) kept: String,
    /// The ledger's open reservations: see [`Keys::held`].
    pub(super) held: String,
}

impl ReplayKeys {
    pub(super) fn of(team: &TeamId) -> Self {
        let [bodies, bytes, kept] = ["bodies", "bytes", "kept"].map(|what| key(team, &format!("replay:{what}")));
        Self { bodies, bytes, kept, held: Keys::of(team).held }
    }

    /// Hash: what is known of an idempotency key.
    pub(super) fn key(team: &TeamId, hash: &KeyHash) -> String {
        key(team, &format!("replay:key:{hash}"))
    }

    /// Hash: the outcome of a call, or where it is.
    pub(super) fn call(team: &TeamId, id: ReservationId) -> String {
        key(team, &format!("replay:call:{id}"))
    }

    /// Sorted set: the newest calls that carried a request id and of which something is kept, by its end. A request id has
    /// no character that would need escaping.
    pub(super) fn calls(team: &TeamId, carried: &RequestId) -> String {
        key(team, &format!("replay:calls:{carried}"))
    }
}

/// The keys of the shared account's windows and of the line before them. No team's name has the `!`.
pub(super) struct PermitKeys {
    /// Hash: the windows.
    pub(super) windows: String,
    /// Sorted set: the line, by virtual finish.
    pub(super) line: String,
    /// Hash: what is known of a place, or of the permit it became.
    pub(super) places: String,
    /// Sorted set: both, by deadline.
    pub(super) deadlines: String,
    /// Hash: the teams in the line.
    pub(super) teams: String,
}

impl PermitKeys {
    pub(super) fn new() -> Self {
        let key = |what: &str| format!("{LAYOUT}:{{!shared}}:{what}");
        Self {
            windows: key("windows"),
            line: key("line"),
            places: key("places"),
            deadlines: key("deadlines"),
            teams: key("teams"),
        }
    }
}

/// The keys of the register, in one slot: a team's name cannot begin as its hash tag does.
pub(super) struct RegisterKeys;

impl RegisterKeys {
    /// Hash: name → entry.
    pub(super) const ENTRIES: &'static str = "mg1:{:register}:entries";
    /// String: which state of the entries it is.
    pub(super) const VERSION: &'static str = "mg1:{:register}:version";
    /// Hash: id of a gateway key → when it was used last, in seconds since 1970.
    pub(super) const USED: &'static str = "mg1:{:register}:used";
}

/// A scope's name within its team; the script puts the team's prefix before it. Unlike names stay unlike: what is not
/// plain is written as `%` and two hexadecimal digits per byte, and `%` is not plain. No name has a space or a brace,
/// which are the record's separators.
pub(super) fn scope_name(scope: &Scope) -> String {
    match scope {
        Scope::Team => "team".to_owned(),
        Scope::User(user) => escaped("user:", user.as_str()),
        Scope::Key(key) => escaped("key:", key.as_str()),
        Scope::Account(user) => escaped("account:", user.as_str()),
    }
}

/// The scope of this name; `None` for what no scope is named.
pub(super) fn scope_named(name: &str) -> Option<Scope> {
    match name.split_once(':') {
        None => (name == "team").then_some(Scope::Team),
        Some(("user", user)) => UserId::parse(&unescaped(user)?).map(Scope::User),
        Some(("key", key)) => KeyId::parse(&unescaped(key)?).map(Scope::Key),
        Some(("account", user)) => UserId::parse(&unescaped(user)?).map(Scope::Account),
        Some(_) => None,
    }
}

/// Where a call is counted in a day's usage: its model and its user, neither of which has a space then.
pub(super) fn cell_name(asked: &Asked) -> String {
    escaped(&format!("{} ", asked.model), &asked.user)
}

/// The name that was escaped; `None` for what no name becomes.
pub(super) fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?,
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

fn escaped(kind: &str, name: &str) -> String {
    let mut text = String::with_capacity(kind.len() + name.len());
    text.push_str(kind);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn user(name: &str) -> String {
        scope_name(&Scope::User(UserId::parse(name).unwrap()))
    }

    #[test]
    fn odd_names_stay_apart_and_hold_no_separator() {
        let odd = ["a", "A", "a b", "a%20b", "{a}", "a:b", "*", "ä", "key:abc", "%", "%25", "user:a", "🦀", " "];
        let mut names: Vec<_> = odd.iter().map(|name| user(name)).collect();
        let back = names.iter().map(|name| unescaped(name.strip_prefix("user:").unwrap()).unwrap());
        assert_eq!(back.collect::<Vec<_>>(), odd);
        assert!(names.iter().all(|name| !name.contains([' ', '{', '}'])));
        names.push(scope_name(&Scope::Team));
        names.push(scope_name(&Scope::Key(KeyId::parse("abcdefghijkl").unwrap())));
        names.push(user("team"));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| scope_name(&scope_named(name).unwrap()) == *name));
        assert_eq!(scope_named("teams"), None);
    }

    #[test]
    fn every_key_of_a_team_has_the_team_as_its_hash_tag() {
        let keys = Keys::of(&TeamId::parse("design").unwrap());
        for key in [keys.open, keys.held, keys.rows] {
            assert!(key.starts_with("mg1:{design}:"), "{key}");
        }
    }
}
