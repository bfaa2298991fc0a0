//! Moongate: the gateway a company puts in front of the Firemoon Studio API.
//!
//! Start here, then read [`stack`]: the path of a request, top to bottom. `glossary.md`, beside
//! this file, defines the vocabulary.
//!
//! # The rooms
//!
//! A room is a module of this list: a folder that answers one question about a request. They stand
//! roughly in the order in which a request needs them.
//!
//! | room | what it does |
//! |---|---|
//! | [`server`] | accepts connections, bounds them, and drains when the process stops |
//! | [`stack`] | puts the layers in order |
//! | [`telemetry`] | metrics and logs; its layers measure every request, and a known team's |
//! | [`answer`] | the layers that turn a refusal or a panic into an HTTP answer |
//! | [`refusal`] | every error a caller can get: its status, code and words |
//! | [`request`] | checks that a request is well-formed, and finds its route |
//! | [`pages`] | serves the team page and the console |
//! | [`catalogue`] | serves the public catalogue of models and prices |
//! | [`identity`] | authenticates callers |
//! | [`refused`] | calls that were refused lately, for the team and its operators to see why |
//! | [`account`] | the views a team has of its own spending |
//! | [`team`] | teams, their limits and their models |
//! | [`call`] | what travels the paid path: the authorized call, its body, its outcome |
//! | [`idempotency`] | makes a call with an idempotency key only once, and replays its answer |
//! | [`pricing`] | what a call may cost at most, and what it did cost |
//! | [`admission`] | has the ledger reserve a call's price, and settle it afterwards |
//! | [`ledger`] | decides what may be spent, counts what was, notices a lost store |
//! | [`store`] | the Redis client, shared by all rooms that keep state there |
//! | [`webhook`] | posts an event when a budget passes its threshold |
//! | [`permits`] | the store of the queue for the shared account, over all replicas |
//! | [`upstream`] | sends calls to Firemoon: waits in that queue, picks a shared key, forwards |
//!
//! Around them: [`cli`] and [`app`] start and stop the process, [`config`] turns text into
//! settings, [`admin`] is the operator's listener, [`simulator`] plays Firemoon for the demo and
//! the tests.
//!
//! Small modules that every room may use: [`calendar`] (days, months and when they end), [`clock`]
//! (time that tests can move), [`credits`] (money), [`decimal`] and [`json`] (how numbers and wrong
//! bodies are worded), [`http`] (the answer's body, our header names), [`https`] (the client for
//! key sets and webhooks), [`live`] (settings that a reload replaces), [`maps`] (a fast hash map),
//! [`model`] (a model's id), [`printable`] (text that is safe on a terminal), [`secret`] (never
//! printed), [`step`] (a layer that awaits), [`trust`] (certificate authorities), [`version`].
//!
//! # Where to change what
//!
//! | what | where |
//! |---|---|
//! | how a price is computed | `pricing/price.rs`; what a body asks for, `pricing/body.rs` |
//! | how Redis is reached | `store/settings.rs` (where it is), `store/dial.rs` (Sentinel, TLS) |
//! | what a refusal says | `refusal/words.rs`; of a limit (402, 429), `refusal/bound.rs` |
//! | which headers go upstream | `upstream/forward.rs`; constant ones, `upstream/head.rs` |
//! | how a lost store is noticed | `ledger/keeper/loss.rs`; its signs, `ledger/keeper/news.rs` |
//! | a metric | `telemetry/metrics/catalogue.rs` |
//! | a configuration key | `config/file.rs` (its form), `config/check.rs` (its meaning) |
//!
//! # Dependencies between rooms
//!
//! A room imports only those before it in this list; `tests/it/tidy` checks it:
//!
//! - small modules: [`calendar`], [`clock`], [`decimal`], [`credits`], [`http`], [`json`],
//!   [`live`], [`maps`], [`model`], [`printable`], [`secret`], [`step`], [`trust`], [`version`],
//!   [`https`];
//! - teams as configured, and stores: [`pricing`], [`team`], [`store`], [`permits`],
//!   [`ledger`];
//! - requests and answers: [`refusal`], [`request`], [`answer`], [`refused`];
//! - callers, and the paid path: [`identity`], [`call`], [`idempotency`], [`admission`],
//!   [`upstream`];
//! - beside the paid path: [`pages`], [`catalogue`], [`account`], [`webhook`], [`server`],
//!   [`simulator`];
//! - above all of these: [`telemetry`], [`admin`], [`config`], [`stack`], [`app`], [`cli`].
//!
//! # What holds everywhere
//!
//! - Money is [`credits::Credits`], whole millionths. A call's price is reserved before it is sent,
//!   and settled once.
//! - Nothing reaches the upstream without an [`admission::Admitted`], which only admission makes,
//!   and an [`upstream::queue::Permitted`], which only the queue makes from it.
//! - No caller's credential goes further than [`identity::authenticate`], and no shared key is
//!   known before [`upstream::swap_credential`]. Neither is ever printed: see [`secret::Secret`].
//! - In the layers within [`answer::answer_refusals`] every error is a [`refusal::Refusal`];
//!   outside it there are none.
//! - Time comes from [`clock::Clock`]; the ledger's windows use the time of its store, so that all
//!   replicas agree.
//! - A room uses the vocabulary of others, never their layers, and never [`config`], [`app`] or
//!   [`stack`].

pub mod account;
pub mod admin;
pub mod admission;
pub mod answer;
pub mod app;
pub mod calendar;
pub mod call;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credits;
pub mod decimal;
pub mod http;
pub mod https;
pub mod idempotency;
pub mod identity;
pub mod json;
pub mod ledger;
pub mod live;
pub mod maps;
pub mod model;
pub mod pages;
pub mod permits;
pub mod pricing;
pub mod printable;
pub mod refusal;
pub mod refused;
pub mod request;
pub mod secret;
pub mod server;
pub mod simulator;
pub mod stack;
pub mod step;
pub mod store;
pub mod team;
pub mod telemetry;
pub mod trust;
pub mod upstream;
pub mod version;
pub mod webhook;
