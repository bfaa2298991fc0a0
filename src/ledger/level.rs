//! A level: the limits of a team, a user or a gateway key. A call has several.

use std::sync::Arc;

use super::Scope;
use crate::team::Limits;

/// Limits of one level. Its windows are counted even without limits, so that a limit set later
/// counts what was used before (promise 6).
#[derive(Clone, Debug)]
pub struct Level {
    /// The team, user or key.
    pub scope: Scope,
    /// The limits.
    pub limits: Arc<Limits>,
}
