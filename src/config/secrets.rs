//! Secrets by reference: from a file or the environment into memory, and nowhere else.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::file::Reference;
use crate::secret::Secret;

/// No secret and no certificate file is larger; a larger file is a mistake.
const BYTES_MAX: u64 = 1 << 20;

/// The SHA-256 of what was read from a file. Never shown: a short secret could be guessed from it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Of what is in a file now, for comparison with what was read from it before; `None` when it cannot be read.
    pub(super) fn at(path: &Path) -> Option<Self> {
        read(path).ok().map(|content| Self::of(&content))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}

/// Files, each with what was read from it; `None` when it could not be read.
pub(super) type Digests = BTreeMap<PathBuf, Option<Digest>>;

/// Where references are followed from, and which files they led to.
pub(super) struct Sources<'a> {
    folder: PathBuf,
    environment: &'a dyn Fn(&str) -> Option<String>,
    digests: Digests,
}

impl<'a> Sources<'a> {
    /// Paths are relative to the folder of the file at `source`.
    pub(super) fn beside(source: &Path, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let folder = source.parent().unwrap_or(Path::new("")).to_owned();
        Self { folder, environment, digests: Digests::new() }
    }

    /// A path of the file, as the process can open it.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.folder.join(written)
    }

    /// The secret that a reference leads to.
    ///
    /// # Errors
    /// Says what is wrong with the reference or with what it leads to, never what was found there.
    pub(super) fn secret(&mut self, reference: &Reference) -> Result<Secret, String> {
        let text = match (&reference.file, &reference.env) {
            (Some(written), None) => {
                let (path, content) = self.content(written)?;
                let text = str::from_utf8(&content).map_err(|_| format!("{} holds no text", path.display()))?;
                Zeroizing::new(text.to_owned())
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
        let mut bytes = [0; 32];
        let read = hex::decode_to_slice(secret.expose(), &mut bytes);
        read.map_err(|_| "must lead to a SHA-256: 64 hexadecimal digits".to_owned())?;
        Ok(bytes)
    }

    /// The content of a file, wiped from memory when dropped.
    ///
    /// # Errors
    /// Says why it cannot be read.
    pub(super) fn content(&mut self, written: &str) -> Result<(PathBuf, Zeroizing<Vec<u8>>), String> {
        let path = self.path(written);
        let content = read(&path);
        self.digests.insert(path.clone(), content.as_ref().ok().map(|content| Digest::of(content)));
        match content {
            Ok(content) => Ok((path, content)),
            Err(error) => Err(format!("{} cannot be read: {}", path.display(), cause(&error))),
        }
    }

    /// The files that were named and what was in them, those that could not be read included.
    pub(super) fn into_digests(self) -> Digests {
        self.digests
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::new());
    let length = fs::File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut content)?;
    if length as u64 > BYTES_MAX { Err(io::Error::other("it is larger than 1 MiB")) } else { Ok(content) }
}

/// What an operator needs to know, without the number of the system's error.
fn cause(error: &io::Error) -> String {
    let kind = error.kind();
    let words = [
        (io::ErrorKind::NotFound, "no such file"),
        (io::ErrorKind::PermissionDenied, "permission denied"),
        (io::ErrorKind::IsADirectory, "it is a folder"),
    ];
    words.into_iter().find(|(known, _)| *known == kind).map_or_else(|| error.to_string(), |(_, said)| said.to_owned())
}
