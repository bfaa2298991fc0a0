//! The gateway that is counted: built in a profile of its own, so that the figures are of one
//! program however this one was built.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::outcome::Outcome;

/// The profile in `Cargo.toml`: optimised as a release is, without what makes its build long.
const PROFILE: &str = "counted";

/// Builds it; where it is.
///
/// # Errors
/// It cannot be built.
pub fn gateway() -> Outcome<PathBuf> {
    let arguments = [
        "build",
        "--locked",
        "--profile",
        PROFILE,
        "--bin",
        "moongate",
        "--message-format",
        "json",
    ];
    let built = Command::new(option_env!("CARGO").unwrap_or("cargo"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        return Err("the gateway cannot be built".into());
    }
    let text = String::from_utf8(built.stdout)?;
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs =
        messages.filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from));
    programs.next_back().ok_or_else(|| "cargo built no program".into())
}
