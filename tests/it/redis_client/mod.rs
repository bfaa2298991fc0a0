//! How Redis is reached, by everyone who keeps something there: what they may do, and how they come back after it was
//! away.

mod acl;
mod inspecting;
mod reconnecting;
mod sentinels;
mod users;
