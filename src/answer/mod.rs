//! Gives every request an answer: [`answer_refusals`] turns a refusal into its documented form,
//! [`catch_panic`] a panic into a refusal; [`panicked`] reads a panic's message, for the log.

pub mod answer_refusals;
pub mod catch_panic;
pub mod panicked;

pub use answer_refusals::{AnswerRefusals, AnswerRefusalsLayer};
pub use catch_panic::{CatchPanic, CatchPanicLayer};
