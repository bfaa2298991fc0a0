//! How Redis is reached, by all rooms that keep something there: their rights, and how they recover
//! after it was away.

mod acl;
mod inspecting;
mod reconnecting;
mod sentinels;
mod users;
