//! The integration tests, one binary: a module per promise, and what they share in `support`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation
)]

mod check_token;
mod config_broken;
mod config_commands;
mod config_reference;
mod config_reload;
mod dashboards;
mod healthcheck;
mod idempotency;
mod identity_attacks;
mod identity_fetch;
mod identity_issuers;
mod identity_keys;
mod identity_kubernetes;
mod identity_reasons;
mod identity_register;
mod identity_tokens;
mod ledger_conformance;
mod ledger_embedded;
mod ledger_file;
mod ledger_model;
mod ledger_redis;
mod ledger_stress;
mod openapi;
mod operator_listener;
mod pages;
mod permits;
mod placement;
mod private_authority;
mod redis_client;
mod register;
mod shipped_files;
mod simulator;
mod support;
mod system;
mod tidy;
mod webhook;
