//! The operator's listener: health, metrics, and what an operator may see and do.
//!
//! [`serve`] runs it, on a thread and runtime of its own, so that a probe is answered however busy the team listener is;
//! [`pages`] says what is where; [`readiness`] is what `/readyz` asks; [`token`] keeps `/admin` for operators.

pub mod pages;
pub mod readiness;
pub mod serve;
pub mod token;

use std::net::SocketAddr;

pub use pages::{Operator, Shown};
pub use readiness::Readiness;
pub use serve::serve;
pub use token::Token;

/// The operator's listener, as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens (`admin.address`).
    pub address: SocketAddr,
    /// Who may use `/admin/v1` (`admin.tokens`).
    pub tokens: Vec<Token>,
}
