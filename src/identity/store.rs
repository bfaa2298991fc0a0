//! Where what operators decide while running is kept: one trait, a store in Redis and one in a file, beside the ledger.
//!
//! The store knows names and bytes. What they mean is [`super::key_registry`]'s.

use std::collections::HashMap;

use futures_util::future::BoxFuture;

use crate::store::Outage;
use crate::team::KeyId;

/// Which state of all entries it is. Two versions that differ are different states; nothing else is said of them, not
/// even which is newer: a store that lost what it had is noticed as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version(pub Vec<u8>);

/// An entry: its name, and what it says.
pub type Entry = (String, Vec<u8>);

/// Keeps entries for ever, and when keys were used last. Each step is atomic and safe to repeat.
pub trait Store: Send + Sync + 'static {
    /// The version as it is now. Cheap: every replica asks several times a second.
    fn version(&self) -> BoxFuture<'_, Result<Version, Outage>>;

    /// Every entry, and the version they belong to.
    fn read(&self) -> BoxFuture<'_, Result<(Version, Vec<Entry>), Outage>>;

    /// What one entry says; `None` when there is none of this name.
    fn entry<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Outage>>;

    /// Puts an entry in the place of what is expected there (`None`: nothing), with another version. `false`: something
    /// else is there, and nothing was changed.
    fn replace<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, Outage>>;

    /// Notes that keys were used, in seconds since 1970; an earlier time than the one noted changes nothing. Not a new
    /// version.
    fn note_used<'a>(&'a self, used: &'a [(KeyId, i64)]) -> BoxFuture<'a, Result<(), Outage>>;

    /// When keys were used last, as far as it was noted.
    fn last_used(&self) -> BoxFuture<'_, Result<HashMap<KeyId, i64>, Outage>>;
}
