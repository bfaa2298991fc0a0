//! Moongate: the gateway a company puts in front of the Firemoon Studio API.
//!
//! Start here, then read [`stack`]: the path of a request, top to bottom. What each word means stands in `glossary.md`
//! beside this file.
//!
//! # The rooms, in the order in which a request passes them
//!
//! | room | the question it answers |
//! |---|---|
//! | [`server`] | how connections come in, and how the process stops |
//! | [`stack`] | in which order everything happens |
//! | [`telemetry`] | what happened: metrics, logs, the two measuring layers |
//! | [`answer`] | how every request gets an answer, a refusal's or a panic's too |
//! | [`refusal`] | how the gateway says no |
//! | [`request`] | is this a well-formed request, and which of our routes is it |
//! | [`catalogue`] | what anyone may ask |
//! | [`identity`] | who is calling |
//! | [`account`] | what a team may see of itself |
//! | [`team`] | what a team is |
//! | [`call`] | what travels the paid path: may this caller use this model, the whole call, what came of it |
//! | [`idempotency`] | has this call been made before, and what was its answer |
//! | [`pricing`] | what a call may cost at most, and what it did cost |
//! | [`admission`] | may it be spent now; what was spent in the end |
//! | [`ledger`] | what may be spent and what was: reservations, settlements, windows, rows |
//! | [`store`] | how Redis is reached by all who keep something there |
//! | [`webhook`] | who is told outside that a budget is nearly used up |
//! | [`permits`] | whose turn it is on the shared account, over all replicas |
//! | [`upstream`] | when a call goes out, where to, and with whose key |
//!
//! Around them: [`cli`] and [`app`] start and stop the process, [`config`] turns text into settings, [`admin`] is the
//! operator's listener, [`simulator`] is Firemoon for the demo and the tests. [`calendar`], [`clock`], [`credits`],
//! [`decimal`], [`http`], [`https`], [`json`], [`live`], [`maps`], [`model`], [`printable`], [`secret`] and [`trust`]
//! are small words everybody speaks.
//!
//! # What stands on what
//!
//! Each knows only those before it in this list, which `tests/it/tidy` holds against the code:
//!
//! - small words: [`calendar`], [`clock`], [`decimal`], [`credits`], [`http`], [`json`], [`live`], [`maps`], [`model`],
//!   [`printable`], [`secret`], [`trust`], [`https`];
//! - what is configured of a team, and what is kept: [`pricing`], [`team`], [`store`], [`permits`], [`ledger`];
//! - a request, and what it is answered: [`refusal`], [`request`], [`answer`];
//! - its caller, and the paid path: [`identity`], [`call`], [`idempotency`], [`admission`], [`upstream`];
//! - what is beside that path: [`catalogue`], [`account`], [`webhook`], [`server`], [`simulator`];
//! - what sees all of it: [`telemetry`], [`admin`], [`config`], [`stack`], [`app`], [`cli`].
//!
//! # What holds everywhere
//!
//! - Money is [`credits::Credits`]: whole millionths. What a call may cost is reserved before it is sent, and settled
//!   once.
//! - Nothing reaches the upstream without an [`admission::Admitted`], which only admission makes, and an
//!   [`upstream::queue::Permitted`], which only the queue makes of it.
//! - A credential ends at [`identity::authenticate`]; a shared key begins at [`upstream::swap_credential`]. Neither is
//!   ever printed: see [`secret::Secret`].
//! - Below [`answer::answer_refusals`] every error is a [`refusal::Refusal`]; above it there are none.
//! - Time comes from [`clock::Clock`]; the ledger's windows go by the store's own.
//! - A room knows the vocabulary of others, never their layers, and never [`config`], [`app`] or [`stack`].

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
pub mod permits;
pub mod pricing;
pub mod printable;
pub mod refusal;
pub mod request;
pub mod secret;
pub mod server;
pub mod simulator;
pub mod stack;
pub mod store;
pub mod team;
pub mod telemetry;
pub mod trust;
pub mod upstream;
pub mod webhook;
