//! Do the commands print what is true, and end with the right exit code?

mod check_token;
mod healthcheck;
