//! `moongate completions`: shell completions of the command line.

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
    /// Prints them for this command line.
    ///
    /// # Errors
    /// The output could not be written.
    pub fn run(&self, mut of: Command, out: &mut dyn Write) -> Result<(), Ended> {
        let mut script = Vec::new();
        generate(self.shell, &mut of, "moongate", &mut script);
        out.write_all(&script).map_err(Ended::from)
    }
}
