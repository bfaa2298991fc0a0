//! `moongate check`: validates a configuration and shows it with every default filled in.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::config::{self, Settings};
use crate::identity;
use crate::identity::settings::KeySource;

/// Exit code for a valid configuration.
const GOOD: u8 = 0;
/// Exit code for an invalid one.
const WRONG: u8 = 2;

/// Validates a configuration file and prints the effective settings, without secrets.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "MOONGATE_CONFIG")]
    pub config: PathBuf,
    /// Accepts every secret without reading it, for a pipeline that has none
    #[arg(long)]
    pub without_secrets: bool,
}

impl Check {
    /// Prints the effective settings to `out`, or every problem to `err`; warnings, and `OK` at the
    /// end, go to `err`. Returns the exit code.
    ///
    /// # Errors
    /// The output could not be written.
    pub fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
        let loaded = match self.without_secrets {
            true => config::load_without_secrets(&self.config),
            false => config::load(&self.config),
        };
        match loaded {
            Ok(settings) => {
                for warning in &settings.warnings {
                    writeln!(err, "warning: {warning}")?;
                }
                out.write_all(settings.effective_text().map_err(io::Error::other)?.as_bytes())?;
                let code = self.key_files(&settings, err)?;
                if code == GOOD {
                    writeln!(err, "{}: OK{}", self.config.display(), warned(&settings))?;
                }
                Ok(code)
            }
            Err(problems) => {
                writeln!(err, "{problems}")?;
                Ok(WRONG)
            }
        }
    }

    /// Checks the issuers' key files. `serve` starts in spite of a broken one, which affects only
    /// that issuer and may be fixed later; this command reports it before.
    fn key_files(&self, settings: &Settings, err: &mut dyn Write) -> io::Result<u8> {
        let mut code = GOOD;
        for (index, issuer) in settings.live.identity.issuers.iter().enumerate() {
            let KeySource::File(path) = &issuer.keys else { continue };
            if let Err(wrong) = identity::check_file(path) {
                let file = self.config.display();
                writeln!(
                    err,
                    "{file}: identity.issuers[{index}].jwks.file: {}: {wrong}",
                    path.display()
                )?;
                code = WRONG;
            }
        }
        Ok(code)
    }
}

fn warned(settings: &Settings) -> String {
    match settings.warnings.len() {
        0 => String::new(),
        1 => ", with 1 warning".to_owned(),
        warnings => format!(", with {warnings} warnings"),
    }
}
