//! map
pub mod clock;
pub mod credits;
pub mod identity;
pub mod ledger;
pub mod live;
pub mod pricing;
pub mod secret;
pub mod team;
