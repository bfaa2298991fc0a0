//! How what may fail in a benchmark fails: with a text for the person who started it.

use std::error::Error;

/// What came of it.
pub type Outcome<T> = Result<T, Box<dyn Error>>;
