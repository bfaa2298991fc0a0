//! Operator's listener: health, metrics, and the administration API.
//!
//! [`mod@serve`] runs it on a thread and runtime of its own, so that probes are answered however
//! busy the team listener is. [`pages`] has its paths, `host` its accepted host names,
//! [`readiness`] the checks of `/readyz`. The API is under `/admin/v1`: [`token`] authenticates
//! operators, [`routes`] is its table, [`call`] a page's request and result, [`api`] connects them.
//! Its pages include [`usage`] and [`export`], both over [`accounts`]; `users` checks names of
//! users.
//!
//! **To add a page**: add a name to [`routes::Read`] (any token, changes nothing) or
//! [`routes::Change`] (needs `role: write`), a line to [`routes::TABLE`], an arm to `Api::read` or
//! `Api::change`, a file below `admin/` that answers a [`call::Call`], and its description to
//! `openapi.json`, which a test compares with the table. A page that changes something answers with
//! a [`call::Changed`], from which the audit line is made, so that no change goes without one. The
//! command line calls the API through `cli/gateway.rs`.

pub mod accounts;
pub mod api;
pub mod call;
mod calls;
mod changes;
mod configured;
pub mod csv;
pub mod export;
mod host;
mod key_view;
mod keys;
mod levels;
mod loss;
pub mod pages;
mod queue;
pub mod readiness;
mod refusals;
pub mod routes;
mod scrape;
pub mod serve;
mod teams;
pub mod token;
mod topup;
mod upstream_keys;
pub mod usage;
mod users;

use std::net::SocketAddr;

pub use accounts::Accounts;
pub use api::{Api, Shown};
pub use pages::Operator;
pub use readiness::{Details, Readiness};
pub use serve::serve;
pub use token::{Role, Token};

/// The operator's listener, as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens (`admin.address`).
    pub address: SocketAddr,
    /// Who may use `/admin/v1` (`admin.tokens`).
    pub tokens: Vec<Token>,
    /// Host names that it accepts besides this machine's own (`admin.hosts`).
    pub hosts: Vec<String>,
}
