//! answer
pub struct AnswerRefusals;
