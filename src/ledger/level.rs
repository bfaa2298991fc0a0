//! A level: limits, and whose they are. A call has several: of the team, of the user, and of the gateway key when one
//! was used.

use std::sync::Arc;

use super::Scope;
use crate::team::Limits;

/// One level's limits. The level's windows are counted even when it has no limits, so that a limit set later knows
/// what was used before (promise 6).
#[derive(Clone, Debug)]
pub struct Level {
    /// Whose.
    pub scope: Scope,
    /// Its limits.
    pub limits: Arc<Limits>,
}
