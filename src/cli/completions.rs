//! `moongate completions`: completions of the command line for a shell.

use std::io::Write;

use clap::Command;
use clap_complete::{Shell, generate};

use super::Ended;

/// Prints completions for a shell.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Prints those of this command line.
    ///
    /// # Errors
    /// They could not be written.
    pub fn run(&self, mut of: Command, out: &mut dyn Write) -> Result<(), Ended> {
        let mut script = Vec::new();
        generate(self.shell, &mut of, "moongate", &mut script);
        out.write_all(&script).map_err(Ended::from)
    }
}
