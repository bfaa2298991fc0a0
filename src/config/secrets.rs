//! Secrets by reference, from a file or the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::file::Reference;
use crate::secret::Secret;

/// Secrets and certificate files are smaller; a larger file is a mistake.
const BYTES_MAX: u64 = 1 << 20;

/// SHA-256 of what was read from a file. Never shown, since a short secret could be guessed from
/// it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Digest of a file now, to compare with an earlier one; `None` when it cannot be read.
    pub(super) fn at(path: &Path) -> Option<Self> {
        read(path).ok().map(|content| Self::of(&content))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}

/// Files with the digest of what was read; `None` when one could not be read.
pub(super) type Digests = BTreeMap<PathBuf, Option<Digest>>;

/// Placeholder for a secret in a check without secrets: valid in every place, and different for
/// each reference.
fn placeholder(reference: &Reference) -> String {
    let named = reference.file.as_deref().or(reference.env.as_deref()).unwrap_or_default();
    hex::encode(Sha256::digest(named))
}

/// Resolves references and remembers the files they lead to.
pub(super) struct Sources<'a> {
    folder: PathBuf,
    environment: &'a dyn Fn(&str) -> Option<String>,
    digests: Digests,
    /// Looks for no secrets, since a check may run where there are none.
    without_secrets: bool,
}

impl<'a> Sources<'a> {
    /// Resolves paths relative to the folder of the file at `source`.
    pub(super) fn beside(source: &Path, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let folder = source.parent().unwrap_or(Path::new("")).to_owned();
        Self { folder, environment, digests: Digests::new(), without_secrets: false }
    }

    /// Resolves paths in the same way, and accepts every secret unread.
    pub(super) fn without_secrets(self, without_secrets: bool) -> Self {
        Self { without_secrets, ..self }
    }

    /// A path in the file, as the process can open it.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.folder.join(written)
    }

    /// The secret behind a reference.
    ///
    /// # Errors
    /// What is wrong with the reference or with the secret, never the secret's text.
    pub(super) fn secret(&mut self, reference: &Reference) -> Result<Secret, String> {
        let text = match (&reference.file, &reference.env) {
            (Some(_), None) | (None, Some(_)) if self.without_secrets => {
                Zeroizing::new(placeholder(reference))
            }
            (Some(written), None) => {
                let (path, content) = self.content(written)?;
                let text = str::from_utf8(&content)
                    .map_err(|_| format!("{} holds no text", path.display()))?;
                Zeroizing::new(text.to_owned())
            }
            (None, Some(variable)) => (self.environment)(variable)
                .map(Zeroizing::new)
                .ok_or_else(|| format!("the environment variable {variable} is not set"))?,
            (None, None) | (Some(_), Some(_)) => {
                return Err("must be exactly one of file and env".to_owned());
            }
        };
        let secret = Secret::new(&text);
        if secret.expose().is_empty() { Err("is empty".to_owned()) } else { Ok(secret) }
    }

    /// The SHA-256 behind a reference, which is 64 hexadecimal digits.
    ///
    /// # Errors
    /// As for [`Self::secret`].
    pub(super) fn sha256(&mut self, reference: &Reference) -> Result<[u8; 32], String> {
        let secret = self.secret(reference)?;
        let mut bytes = [0; 32];
        let read = hex::decode_to_slice(secret.expose(), &mut bytes);
        read.map_err(|_| "must lead to a SHA-256: 64 hexadecimal digits".to_owned())?;
        Ok(bytes)
    }

    /// Path of a file that is a secret or belongs to one. It must exist, unless secrets are not
    /// read.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn secret_file(&mut self, written: &str) -> Result<PathBuf, String> {
        if self.without_secrets {
            return Ok(self.path(written));
        }
        self.content(written).map(|(path, _)| path)
    }

    /// Content of a file, wiped from memory when dropped.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn content(
        &mut self,
        written: &str,
    ) -> Result<(PathBuf, Zeroizing<Vec<u8>>), String> {
        let path = self.path(written);
        let content = read(&path);
        self.digests.insert(path.clone(), content.as_ref().ok().map(|content| Digest::of(content)));
        match content {
            Ok(content) => Ok((path, content)),
            Err(error) => Err(format!("{} cannot be read: {}", path.display(), cause(&error))),
        }
    }

    /// The files that were read, with their digests, also those that could not be read.
    pub(super) fn into_digests(self) -> Digests {
        self.digests
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::new());
    let length = fs::File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut content)?;
    if length as u64 > BYTES_MAX {
        Err(io::Error::other("it is larger than 1 MiB"))
    } else {
        Ok(content)
    }
}

/// The system's error without its number.
fn cause(error: &io::Error) -> String {
    let kind = error.kind();
    let words = [
        (io::ErrorKind::NotFound, "no such file"),
        (io::ErrorKind::PermissionDenied, "permission denied"),
        (io::ErrorKind::IsADirectory, "it is a folder"),
    ];
    words
        .into_iter()
        .find(|(known, _)| *known == kind)
        .map_or_else(|| error.to_string(), |(_, message)| message.to_owned())
}
