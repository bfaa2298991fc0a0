//! `moongate check`: validates a configuration, and shows what it means with every default filled in.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::config::{self, Settings};
use crate::identity;
use crate::identity::settings::KeySource;

/// Exit code: the configuration is good.
const GOOD: u8 = 0;
/// Exit code: it is not.
const WRONG: u8 = 2;

/// Validates a configuration file and prints the effective settings; secrets are never shown.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "MOONGATE_CONFIG")]
    pub config: PathBuf,
}

impl Check {
    /// Prints the effective settings to `out`, or every problem to `err`, and there what can hardly be meant; gives the exit code.
    ///
    /// # Errors
    /// What was to be printed could not be written.
    pub fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
        match config::load(&self.config) {
            Ok(settings) => {
                for warning in &settings.warnings {
                    writeln!(err, "warning: {warning}")?;
                }
                out.write_all(settings.effective_text().map_err(io::Error::other)?.as_bytes())?;
                self.key_files(&settings, err)
            }
            Err(problems) => {
                writeln!(err, "{problems}")?;
                Ok(WRONG)
            }
        }
    }

    /// Looks at the issuers' key files. `serve` begins without one that is broken, because it is one issuer's trouble and may be
    /// mended meanwhile; whoever checks before that wants to know.
    fn key_files(&self, settings: &Settings, err: &mut dyn Write) -> io::Result<u8> {
        let mut code = GOOD;
        for (index, issuer) in settings.live.identity.issuers.iter().enumerate() {
            let KeySource::File(path) = &issuer.keys else { continue };
            if let Err(wrong) = identity::check_file(path) {
                let file = self.config.display();
                writeln!(err, "{file}: identity.issuers[{index}].jwks.file: {}: {wrong}", path.display())?;
                code = WRONG;
            }
        }
        Ok(code)
    }
}
