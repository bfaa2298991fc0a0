//! Who is calling: a credential goes in, a principal comes out.

pub mod authenticated;
pub mod observer;
pub mod principal;

pub use authenticated::Authenticated;
pub use observer::{NotObserved, Observer};
pub use principal::{Credential, KeyId, Principal};
