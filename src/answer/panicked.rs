//! Message of a panic, for the log and never for a caller.

use std::any::Any;

/// The message of a panic; empty of other payloads.
#[must_use]
pub fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
