//! Every request gets an answer: [`answer_refusals`] is the layer that puts a refusal into its documented form,
//! [`catch_panic`] the one that makes a refusal of a bug; [`panicked`] is what that bug said, for the log.

pub mod answer_refusals;
pub mod catch_panic;
pub mod panicked;

pub use answer_refusals::{AnswerRefusals, AnswerRefusalsLayer};
pub use catch_panic::{CatchPanic, CatchPanicLayer};
