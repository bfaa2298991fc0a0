//! Who is calling: a credential goes in, a principal comes out.

pub mod principal;

pub use principal::{Credential, KeyId, Principal};
