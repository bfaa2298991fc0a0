//! What a panic said, for the log and never for a caller.

use std::any::Any;

/// The text a panic was raised with; whatever else it carries is not looked at.
#[must_use]
pub fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
