//! Authentication: turns a credential into a principal.
//!
//! Reading order: [`bearer`] reads the credential from the headers; [`key`] is the format of a
//! gateway key; `claims`, `jws`, `token`, [`jwk`] and [`keyset`] verify a JWT (`roca` and
//! `strict` reject weak keys and ambiguous JSON); `issuer_keys` and [`fetch`] keep an issuer's
//! keys fresh; `cache` has verified tokens, and `verification_pool` verifies the others;
//! [`throttle`] counts failed credentials, and [`credential_guard`] is in front of both;
//! [`record`], [`store`], [`key_registry`] and [`registry_sync`] keep what operators change at run
//! time, stored by [`embedded`] or by [`redis`] with `registry.lua`, `active_keys` joins it with
//! the configuration's keys, and [`key_names`] names them; `build` builds it from settings;
//! [`authenticator`] judges [`presented`] credentials, with [`failed_check`] as the error, `reason`
//! to word it, [`examine`] to report each check, and `refusal_log` to bound the log;
//! [`authenticate`] is the layer, and [`authenticated`] its proof.

mod active_keys;
pub mod authenticate;
pub mod authenticated;
pub mod authenticator;
mod authenticator_error;
pub mod bearer;
mod build;
mod cache;
mod claims;
pub mod credential_guard;
pub mod embedded;
pub mod examine;
pub mod failed_check;
pub mod fetch;
mod issuer_keys;
pub mod jwk;
mod jws;
pub mod key;
pub mod key_names;
pub mod key_registry;
pub mod keyset;
pub mod observer;
pub mod presented;
pub mod principal;
mod reason;
pub mod record;
pub mod redis;
mod refusal_log;
pub mod registry_sync;
pub mod rejection;
mod roca;
pub mod settings;
pub mod store;
mod strict;
pub mod throttle;
mod token;
mod verification_pool;

pub use self::redis::RedisKeyRegistry;
pub use authenticate::Authenticate;
pub use authenticated::Authenticated;
pub use authenticator::Authenticator;
pub use authenticator_error::AuthenticatorError;
pub use credential_guard::CredentialGuard;
pub use embedded::EmbeddedKeyRegistry;
pub use failed_check::FailedCheck;
pub use issuer_keys::{RenewalError, check_file};
pub use key::{GatewayKey, SecretHash};
pub use key_names::KeyNames;
pub use key_registry::{KeyRegistry, ReadLimits, Suspension};
pub use observer::{NotObserved, Observer};
pub use presented::Presented;
pub use principal::{Identified, Principal};
pub use record::KeyRecord;
pub use registry_sync::RegistrySync;
pub use rejection::Rejection;
pub use settings::Settings;
pub use store::Store;
