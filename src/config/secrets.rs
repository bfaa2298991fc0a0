//! Secrets by reference: from a file or the environment into memory, and nowhere else.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::file::Reference;
use crate::secret::Secret;

/// No secret is longer; a larger file is a mistake.
const BYTES_MAX: u64 = 64 << 10;

/// Where references are followed from, and which files they led to.
pub(super) struct Sources<'a> {
    folder: PathBuf,
    environment: &'a dyn Fn(&str) -> Option<String>,
    files: BTreeSet<PathBuf>,
}

impl<'a> Sources<'a> {
    /// Paths are relative to the folder of the file at `source`.
    pub(super) fn beside(source: &Path, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let folder = source.parent().unwrap_or(Path::new("")).to_owned();
        Self { folder, environment, files: BTreeSet::new() }
    }

    /// A path of the file, as the process can open it.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.folder.join(written)
    }

    /// The same, for a file whose content matters: a change of it is a change of the configuration.
    pub(super) fn watched(&mut self, written: &str) -> PathBuf {
        let path = self.path(written);
        self.files.insert(path.clone());
        path
    }

    /// The secret that a reference leads to.
    ///
    /// # Errors
    /// Says what is wrong with the reference or with what it leads to, never what was found there.
    pub(super) fn secret(&mut self, reference: &Reference) -> Result<Secret, String> {
        let text = match (&reference.file, &reference.env) {
            (Some(written), None) => {
                let path = self.watched(written);
                read(&path).map_err(|error| format!("{} cannot be read: {}", path.display(), cause(&error)))?
            }
            (None, Some(variable)) => (self.environment)(variable)
                .map(Zeroizing::new)
                .ok_or_else(|| format!("the environment variable {variable} is not set"))?,
            (None, None) | (Some(_), Some(_)) => return Err("must be exactly one of file and env".to_owned()),
        };
        let secret = Secret::new(&text);
        if secret.expose().is_empty() { Err("is empty".to_owned()) } else { Ok(secret) }
    }

    /// The SHA-256 that a reference leads to, written as 64 hexadecimal digits.
    ///
    /// # Errors
    /// As for [`Self::secret`].
    pub(super) fn sha256(&mut self, reference: &Reference) -> Result<[u8; 32], String> {
        let secret = self.secret(reference)?;
        hex32(secret.expose()).ok_or_else(|| "must lead to a SHA-256: 64 hexadecimal digits".to_owned())
    }

    /// The content of a file that holds no secret, such as certificates.
    ///
    /// # Errors
    /// Says why it cannot be read.
    pub(super) fn content(&mut self, written: &str) -> Result<(PathBuf, Vec<u8>), String> {
        let path = self.watched(written);
        let content = fs::read(&path).map_err(|error| format!("{} cannot be read: {}", path.display(), cause(&error)))?;
        Ok((path, content))
    }

    /// The files that were named, whether they could be read or not.
    pub(super) fn into_files(self) -> Vec<PathBuf> {
        self.files.into_iter().collect()
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let length = fs::File::open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if length as u64 > BYTES_MAX { Err(io::Error::other("it is larger than any secret")) } else { Ok(text) }
}

/// What an operator needs to know, without the number of the system's error.
fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::InvalidData => "it is not text".to_owned(),
        _ => error.to_string(),
    }
}

/// Reads 64 hexadecimal digits, in either case.
pub(super) fn hex32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}
