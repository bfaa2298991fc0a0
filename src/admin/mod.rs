//! The operator's listener: health, metrics, and what an operator may see and do.
//!
//! [`mod@serve`] runs it, on a thread and runtime of its own, so that a probe is answered however busy the team
//! listener is; [`pages`] says what is where, and `host` by which name it may be called; [`readiness`] is what
//! `/readyz` asks. Under `/admin/v1` is the API: [`token`] keeps it for operators, [`routes`] is its table, [`call`]
//! what a page is handed, [`api`] the way from one to the other. Its pages are [`usage`] and [`export`], both over
//! [`accounts`]; `users` says which name can be a user's.
//!
//! **To add a page**: give it a name in [`routes::Read`] (any token may ask, nothing changes) or [`routes::Change`]
//! (needs `role: write`), a line in [`routes::TABLE`], an arm in `Api::read` or `Api::change`, a file of its own below
//! `admin/` that holds what it uses and answers a [`call::Call`], and its description in `openapi.json`, which a test
//! holds against the table. A page that changes something answers with a [`call::Changed`], which says what was and
//! what is: the audit line is made of it, so that there is no change without one. The command line asks through
//! `cli/gateway.rs`.

pub mod accounts;
pub mod api;
pub mod call;
mod configured;
pub mod csv;
pub mod export;
mod host;
mod key_view;
mod keys;
mod loss;
pub mod pages;
pub mod readiness;
pub mod routes;
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
    /// By which names it is called beside this machine's own (`admin.hosts`).
    pub hosts: Vec<String>,
}
