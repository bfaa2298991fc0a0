//! Who is calling: a credential goes in, a principal comes out.
//!
//! Read in this order: [`bearer`] takes the credential out of the headers; [`key`] is the form of a gateway key;
//! [`claims`], [`token`] and [`keyset`] verify a JWT; [`keyring`] and [`fetch`] keep an issuer's keys fresh; [`cache`] remembers
//! tokens that were verified; [`directory`] puts it together and answers.

pub mod authenticated;
pub mod bearer;
mod cache;
mod claims;
pub mod directory;
pub mod fetch;
pub mod key;
mod keyring;
pub mod keyset;
pub mod observer;
pub mod principal;
pub mod rejection;
pub mod settings;
mod strict;
mod token;

pub use authenticated::Authenticated;
pub use directory::{Directory, DirectoryError};
pub use key::{GatewayKey, SecretHash};
pub use observer::{NotObserved, Observer};
pub use principal::{Credential, KeyId, Principal};
pub use rejection::Rejection;
pub use settings::Settings;
