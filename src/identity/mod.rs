//! Who is calling: a credential goes in, a principal comes out.
//!
//! Read in this order: [`bearer`] takes the credential out of the headers; [`key`] is the form of a gateway key; [`claims`],
//! [`jws`], [`token`], [`jwk`] and [`keyset`] verify a JWT ([`roca`] and [`strict`] tell what is not to be trusted); [`keyring`] and
//! [`fetch`] keep an issuer's keys fresh; [`cache`] remembers tokens that were verified; [`lane`] is where the others are verified;
//! [`throttle`] remembers where credentials fail, and [`gate`] stands before both; [`record`], [`store`], [`register`] and
//! [`registrar`] keep what operators decide while the gateway runs, [`embedded`] and [`redis`] with `register.lua` are where, and [`in_force`] joins it to the configuration's keys;
//! [`known`] puts it together from settings; [`directory`] answers [`presented`] credentials, of which [`failed_check`] is
//! what was wrong, `reason` says it in words, [`examine`] check by check, and `refusal_log` bounds how often; [`authenticate`] is the layer, and [`authenticated`] the
//! proof it gives.

pub mod authenticate;
pub mod authenticated;
pub mod bearer;
mod cache;
mod claims;
pub mod directory;
mod directory_error;
pub mod embedded;
pub mod examine;
pub mod failed_check;
pub mod fetch;
pub mod gate;
mod in_force;
pub mod jwk;
mod jws;
pub mod key;
mod keyring;
pub mod keyset;
mod known;
mod lane;
pub mod observer;
pub mod presented;
pub mod principal;
mod reason;
pub mod record;
pub mod redis;
mod refusal_log;
pub mod register;
pub mod registrar;
pub mod rejection;
mod roca;
pub mod settings;
pub mod store;
mod strict;
pub mod throttle;
mod token;

pub use self::redis::RedisRegister;
pub use authenticate::AuthenticateLayer;
pub use authenticated::Authenticated;
pub use directory::Directory;
pub use directory_error::DirectoryError;
pub use embedded::EmbeddedRegister;
pub use failed_check::FailedCheck;
pub use gate::Gate;
pub use key::{GatewayKey, SecretHash};
pub use keyring::{RenewalError, check_file};
pub use observer::{NotObserved, Observer};
pub use presented::Presented;
pub use principal::{Identified, Principal};
pub use record::KeyRecord;
pub use register::{ReadLimits, Register, Suspension};
pub use registrar::Registrar;
pub use rejection::Rejection;
pub use settings::Settings;
pub use store::Store;
