//! Who is calling: a credential goes in, a principal comes out.
//!
//! Read in this order: [`bearer`] takes the credential out of the headers; [`key`] is the form of a gateway key;
//! [`claims`], [`jws`], [`token`], [`jwk`] and [`keyset`] verify a JWT ([`roca`] and [`strict`] tell what is not to be
//! trusted); [`issuer_keys`] and [`fetch`] keep an issuer's keys fresh; [`cache`] remembers tokens that were verified;
//! [`verification_pool`] is where the others are verified; [`throttle`] remembers where credentials fail, and
//! [`credential_guard`] stands before both; [`record`], [`store`], [`key_registry`] and [`registry_sync`] keep what
//! operators decide while the gateway runs, [`embedded`] and [`redis`] with `register.lua` are where, and
//! [`active_keys`] joins it to the configuration's keys; [`known`] puts it together from settings; [`authenticator`]
//! answers [`presented`] credentials, of which [`failed_check`] is what was wrong, `reason` says it in words,
//! [`examine`] check by check, and `refusal_log` bounds how often; [`authenticate`] is the layer, and [`authenticated`]
//! the proof it gives.

mod active_keys;
pub mod authenticate;
pub mod authenticated;
pub mod authenticator;
pub mod bearer;
mod cache;
mod claims;
pub mod credential_guard;
mod directory_error;
pub mod embedded;
pub mod examine;
pub mod failed_check;
pub mod fetch;
mod issuer_keys;
pub mod jwk;
mod jws;
pub mod key;
pub mod key_registry;
pub mod keyset;
mod known;
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
pub use authenticate::AuthenticateLayer;
pub use authenticated::Authenticated;
pub use authenticator::Authenticator;
pub use credential_guard::CredentialGuard;
pub use directory_error::DirectoryError;
pub use embedded::EmbeddedKeyRegistry;
pub use failed_check::FailedCheck;
pub use issuer_keys::{RenewalError, check_file};
pub use key::{GatewayKey, SecretHash};
pub use key_registry::{KeyRegistry, ReadLimits, Suspension};
pub use observer::{NotObserved, Observer};
pub use presented::Presented;
pub use principal::{Identified, Principal};
pub use record::KeyRecord;
pub use registry_sync::RegistrySync;
pub use rejection::Rejection;
pub use settings::Settings;
pub use store::Store;
