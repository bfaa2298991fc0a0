//! JWS in compact form (RFC 7515): parsed strictly, and verified only with keys of the issuer's
//! set.
//!
//! Keys and key addresses in the header (`jwk`, `jku`, `x5c`, `x5u`) are ignored. Critical
//! extensions are not supported. The algorithm must be one of the key's, whatever the header says
//! (RFC 8725 section 3.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::failed_check::FailedCheck;
use super::jwk::Key;
use super::keyset::{Candidates, KeySet};
use super::settings::Algorithm;
use super::strict;
use crate::printable::Printable;

/// Header members that are rejected when present: extensions that must be understood (RFC 7515
/// section 4.1.11), unencoded payloads (RFC 7797), encryption and compression (RFC 7516).
const NOT_UNDERSTOOD: [&str; 4] = ["crit", "b64", "enc", "zip"];

/// A parsed JWS, not verified.
pub(super) struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) payload: Vec<u8>,
    pub(super) kid: Option<Box<str>>,
    /// Header and payload as sent: the signed text.
    message: &'a str,
    signature: &'a str,
}

/// Why a text is not a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misread {
    #[error("it is not of three parts with dots between them")]
    Parts,
    #[error("a part of it is not base64url without padding")]
    Encoding,
    #[error("its header is no JSON object, or has a member twice")]
    Header,
    #[error("its header has {0}, which is not understood")]
    NotUnderstood(&'static str),
    #[error("its typ is neither JWT nor at+jwt")]
    Type,
    #[error("its kid is no text")]
    Kid,
    #[error("its header names no algorithm")]
    NoAlgorithm,
    #[error("its algorithm, \"{}\", is none that any issuer may use", Printable::short(.0))]
    Algorithm(Box<str>),
    #[error("its payload is no JSON object, or has a member twice")]
    Claims,
}

impl Misread {
    /// The check that it fails.
    pub(super) const fn check(&self) -> FailedCheck {
        match self {
            Self::NoAlgorithm | Self::Algorithm(_) => FailedCheck::Algorithm,
            Self::Parts
            | Self::Encoding
            | Self::Header
            | Self::NotUnderstood(_)
            | Self::Type
            | Self::Kid
            | Self::Claims => FailedCheck::Form,
        }
    }
}

/// Result of verifying a signature.
pub(super) enum Signed<'k> {
    /// Made with this key.
    By(&'k Key),
    /// Made with none of the candidate keys.
    ByNobody,
    /// Names a key that is not in the set; a newer set might have it.
    ByAStranger,
}

impl<'a> Jws<'a> {
    /// Parses three parts of base64url without padding; the first is a JSON object without
    /// duplicate members.
    pub(super) fn read(token: &'a str) -> Result<Self, Misread> {
        let (message, signature) = token.rsplit_once('.').ok_or(Misread::Parts)?;
        let (header, payload) = message.split_once('.').ok_or(Misread::Parts)?;
        if signature.is_empty() || payload.contains('.') {
            return Err(Misread::Parts);
        }
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Misread::Encoding);
        let header = strict::object(&decoded(header)?).ok_or(Misread::Header)?;
        if let Some(member) = NOT_UNDERSTOOD.iter().find(|member| header.contains_key(**member)) {
            return Err(Misread::NotUnderstood(member));
        }
        if !is_a_jwt(&header) {
            return Err(Misread::Type);
        }
        let kid = match header.get("kid") {
            Some(kid) => Some(kid.as_str().ok_or(Misread::Kid)?.into()),
            None => None,
        };
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Misread::NoAlgorithm)?;
        let algorithm =
            Algorithm::parse(algorithm).ok_or_else(|| Misread::Algorithm(algorithm.into()))?;
        Ok(Self { algorithm, payload: decoded(payload)?, kid, message, signature })
    }

    /// Verifies the signature with the keys of a set.
    pub(super) fn signed_by<'k>(&self, keys: &'k KeySet) -> Signed<'k> {
        match keys.candidates(self.kid.as_deref(), self.algorithm) {
            Candidates::Some(candidates) => {
                let found = candidates.into_iter().find(|key| self.is_of(key));
                found.map_or(Signed::ByNobody, Signed::By)
            }
            Candidates::Nameless(key) if self.is_of(key) => Signed::By(key),
            Candidates::Nameless(_) | Candidates::Unknown => Signed::ByAStranger,
        }
    }

    fn is_of(&self, key: &Key) -> bool {
        let (message, algorithm) = (self.message.as_bytes(), self.algorithm.jws());
        jsonwebtoken::crypto::verify(self.signature, message, &key.verifier, algorithm)
            .is_ok_and(|good| good)
    }
}

/// Whether `typ` (RFC 7515 section 4.1.9) is absent, JWT, or an access token (RFC 9068 section
/// 2.1). Logout tokens, proofs of possession and others are signed with the same keys and are no
/// credentials.
fn is_a_jwt(header: &Map<String, Value>) -> bool {
    let Some(typ) = header.get("typ") else { return true };
    typ.as_str().is_some_and(|typ| {
        let short = match typ.split_at_checked("application/".len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            _ => typ,
        };
        short.eq_ignore_ascii_case("JWT") || short.eq_ignore_ascii_case("at+jwt")
    })
}

#[cfg(test)]
#[path = "jws_tests.rs"]
mod tests;
