//! `moongate schema`: the JSON Schema of the configuration, for editors.

use std::io::{self, Write};

use crate::config;

/// Prints the JSON Schema of the configuration file.
///
/// An editor uses it with `# yaml-language-server: $schema=moongate.schema.json` as the first line
/// of the file.
#[derive(Debug, clap::Args)]
pub struct Schema {}

impl Schema {
    /// Prints the schema to `out`.
    ///
    /// # Errors
    /// The output could not be written.
    pub fn run(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &config::schema::published())?;
        writeln!(out)
    }
}
