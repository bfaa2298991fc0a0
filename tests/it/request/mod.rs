//! Does the team listener answer as its description says?

mod openapi;
