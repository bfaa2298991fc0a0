//! Store of what operators change at run time, beside the ledger: one trait, implemented on Redis
//! and on a file.
//!
//! The store knows only names and bytes; [`super::key_registry`] gives them meaning.

use std::collections::HashMap;

use futures_util::future::BoxFuture;

use crate::store::Outage;
use crate::team::KeyId;

/// Version of all entries. Different versions mean different states, but do not show which is
/// newer, so that a store that lost data is noticed too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version(pub Vec<u8>);

/// An entry: its name and content.
pub type Entry = (String, Vec<u8>);

/// Keeps entries forever, and when keys were last used. Each step is atomic and safe to repeat.
pub trait Store: Send + Sync + 'static {
    /// The current version. Cheap: every replica polls it several times a second.
    fn version(&self) -> BoxFuture<'_, Result<Version, Outage>>;

    /// Every entry, with their version.
    fn read(&self) -> BoxFuture<'_, Result<(Version, Vec<Entry>), Outage>>;

    /// Content of one entry; `None` when it does not exist.
    fn entry<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Outage>>;

    /// Replaces an entry if its content is as expected (`None`: it does not exist), and changes the
    /// version. Returns `false` when it was not, and nothing changed.
    fn replace<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, Outage>>;

    /// Notes when keys were used, in seconds since 1970; never goes back to an earlier time. Does
    /// not change the version.
    fn note_used<'a>(&'a self, used: &'a [(KeyId, i64)]) -> BoxFuture<'a, Result<(), Outage>>;

    /// When keys were last used, as noted.
    fn last_used(&self) -> BoxFuture<'_, Result<HashMap<KeyId, i64>, Outage>>;
}
