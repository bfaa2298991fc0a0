//! Secret text: can be used, and compared in constant time, but never printed.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// A secret from a file or the environment. Wiped from memory when dropped; `Debug` shows only that
/// it is set.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a secret without white space around it, such as the newline at the end of a mounted
    /// file.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(SecretString::from(text.trim().to_owned()))
    }

    /// The secret itself. The caller is responsible for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new(" hunter2\n");
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?} {:#?}", Some(&secret)).contains("hunter2"));
    }
}
