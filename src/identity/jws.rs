//! A JWS in compact form (RFC 7515): its header read strictly, its signature checked with the keys of a set and no
//! others.
//!
//! Keys and addresses of keys inside the header (`jwk`, `jku`, `x5c`, `x5u`) are never looked at; what is critical is
//! not understood; the algorithm must be one that the key is for, whatever the header says (RFC 8725 section 3.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::failed_check::FailedCheck;
use super::jwk::Key;
use super::keyset::{Candidates, KeySet};
use super::settings::Algorithm;
use super::strict;
use crate::printable::Printable;

/// Header members whose mere presence says that the token is not what it seems: extensions that must be understood (RFC
/// 7515 section 4.1.11), an unencoded payload (RFC 7797), encryption and compression (RFC 7516).
const NOT_UNDERSTOOD: [&str; 4] = ["crit", "b64", "enc", "zip"];

/// What was signed, and what it says of how. None of it is proved.
pub(super) struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) payload: Vec<u8>,
    pub(super) kid: Option<Box<str>>,
    /// Header and payload as they were sent: what the signature is of.
    message: &'a str,
    signature: &'a str,
}

/// Why a text is not taken for a token at all.
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
    /// The check that it did not pass.
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

/// Whose signature it is.
pub(super) enum Signed<'k> {
    /// That of this key.
    By(&'k Key),
    /// That of none of the keys it could be of.
    ByNobody,
    /// It names a key that the set does not have; a newer one might.
    ByAStranger,
}

impl<'a> Jws<'a> {
    /// Reads three parts of base64url without padding, the first of them a JSON object without a member twice.
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
        let algorithm = Algorithm::parse(algorithm).ok_or_else(|| Misread::Algorithm(algorithm.into()))?;
        Ok(Self { algorithm, payload: decoded(payload)?, kid, message, signature })
    }

    /// Looks for the key that signed it.
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
        jsonwebtoken::crypto::verify(self.signature, message, &key.verifier, algorithm).is_ok_and(|good| good)
    }
}

/// `typ` (RFC 7515 section 4.1.9): absent, a JWT, or an access token (RFC 9068 section 2.1). An ID token's logout
/// token, a proof of possession and so on are signed by the same keys and are no credentials.
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
