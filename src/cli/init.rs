//! `moongate init`: a smallest installation that runs as it is.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Ended;
use crate::identity::GatewayKey;
use crate::secret::Secret;
use crate::simulator::TEST_KEY;

/// The configuration: the same as in the README.
const CONFIGURATION: &str = include_str!("smallest.yaml");
/// File mode: only the owner reads and writes.
const OWN: u32 = 0o600;
/// File mode: everybody reads.
const SHARED: u32 = 0o644;

/// Writes a smallest configuration that runs as it is, a shared key and an operator's token.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// Folder for the files; created if missing
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
}

impl Init {
    /// Writes the files, or none of them when one exists already.
    ///
    /// # Errors
    /// A file exists already, or cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let token = operators_token()?;
        let hash = hex::encode(Sha256::digest(token.expose()));
        let files = [
            ("moongate.yaml", CONFIGURATION.to_owned(), SHARED),
            ("firemoon-key", format!("{TEST_KEY}\n"), OWN),
            ("ops-token", format!("{}\n", token.expose()), OWN),
            ("ops-token.sha256", format!("{hash}\n"), SHARED),
        ];
        let taken: Vec<String> = files
            .iter()
            .map(|(name, _, _)| self.folder.join(name))
            .filter(|path| path.exists())
            .map(|path| path.display().to_string())
            .collect();
        if !taken.is_empty() {
            return Err(Ended::Misused(format!(
                "nothing was written, because there is already {}",
                taken.join(", ")
            )));
        }
        fs::create_dir_all(&self.folder)?;
        for (name, text, mode) in &files {
            write_new(&self.folder.join(name), text, *mode)?;
        }
        self.welcome(out).map_err(Ended::from)
    }

    fn welcome(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Written to {}:\n", self.folder.display())?;
        writeln!(
            out,
            "  moongate.yaml     the configuration: one team, one price, a simulated Firemoon"
        )?;
        writeln!(
            out,
            "  firemoon-key      the shared key: the simulator's, until you put the company's there"
        )?;
        writeln!(
            out,
            "  ops-token         your token for the commands; ops-token.sha256 is what the \
             gateway knows of it"
        )?;
        let at = |name: &str| self.folder.join(name).display().to_string();
        writeln!(out, "\nRun it, each in a terminal of its own:\n")?;
        writeln!(out, "  moongate simulate")?;
        writeln!(out, "  moongate serve --config {}", at("moongate.yaml"))?;
        writeln!(
            out,
            "  moongate keys create --team design --name laptop --token-file {}",
            at("ops-token")
        )
    }
}

/// A new operator's token. It is drawn like a gateway key and lacks what marks one.
pub(super) fn operators_token() -> Result<Secret, Ended> {
    let made = GatewayKey::generate()?.text;
    Ok(Secret::new(made.expose().rsplit('_').next().unwrap_or_default()))
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}
