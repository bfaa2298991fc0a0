//! Does the operators' listener show what it should, and only to operators?

pub(crate) mod listener;
