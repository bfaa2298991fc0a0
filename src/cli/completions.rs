//! `moongate completions`: completions of the command line for a shell.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::{Cli, Ended};

/// Prints completions for a shell.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Prints them.
    ///
    /// # Errors
    /// They could not be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "moongate", &mut script);
        out.write_all(&script).map_err(Ended::from)
    }
}
