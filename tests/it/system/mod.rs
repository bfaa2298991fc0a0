//! The whole gateway as a process, between real callers, a simulated Firemoon and a real Redis: what it promises, line by line.

mod bad_bodies;
mod bad_credentials;
mod bad_requests;
mod books;
mod crowd;
mod guessing;
mod hanging_up;
mod issuers;
mod ledger_outage;
mod limits;
mod queue;
mod reconcile;
mod reload;
mod reports;
mod secrets;
mod shared_key;
mod stopping;
mod tls;
mod tokens;
mod upstream_faults;
mod views;
mod watched;
mod wire;
mod wire_faults;
