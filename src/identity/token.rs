//! A JWT (RFC 7519 in RFC 7515 compact form) of one issuer: read without trust, then proved by one of the issuer's own keys.
//!
//! Follows RFC 8725: the algorithms come from the issuer's settings and from the key, the token only has to agree; keys and
//! addresses of keys inside a token (`jwk`, `jku`, `x5c`, `x5u`) are never looked at; what is critical is not understood.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Validation;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::claims::{Claims, Times};
use super::keyset::{Candidates, Fingerprint, KeySet};
use super::rejection::Rejection;
use super::settings::{Algorithm, IssuerSettings};
use super::strict;

/// Header members whose mere presence says that the token is not what it seems: extensions that must be understood (RFC 7515
/// section 4.1.11), an unencoded payload (RFC 7797), encryption and compression (RFC 7516).
const NOT_UNDERSTOOD: [&str; 4] = ["crit", "b64", "enc", "zip"];

/// What a token says of itself. None of it is proved.
pub(super) struct Unverified {
    algorithm: Algorithm,
    kid: Option<Box<str>>,
    pub(super) claims: Claims,
}

/// What was proved about a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    /// The key that signed it.
    pub(super) fingerprint: Fingerprint,
    /// From this second on it is expired.
    pub(super) not_after: i64,
}

/// Why nothing was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unproved {
    /// It says a key that the key set does not have; a newer set might.
    KeyUnknown,
    /// It is refused.
    Rejected(Rejection),
}

/// Proves tokens of one issuer.
#[derive(Debug)]
pub(super) struct Verifier {
    issuer: Arc<str>,
    audiences: Vec<String>,
    leeway: i64,
    max_age: Option<i64>,
    /// One per algorithm of the issuer, allowing only that one.
    validations: Vec<(Algorithm, Validation)>,
}

impl Unverified {
    /// Reads a token: three parts of base64url without padding, the first two of them JSON objects without a member twice.
    pub(super) fn read(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        if signature.is_empty() {
            return None;
        }
        let header = strict::object(&URL_SAFE_NO_PAD.decode(header).ok()?)?;
        if NOT_UNDERSTOOD.iter().any(|member| header.contains_key(*member)) || !is_a_jwt(&header) {
            return None;
        }
        let kid = match header.get("kid") {
            Some(kid) => Some(kid.as_str()?.into()),
            None => None,
        };
        let algorithm = Algorithm::parse(header.get("alg")?.as_str()?)?;
        Some(Self { algorithm, kid, claims: Claims::read(&URL_SAFE_NO_PAD.decode(payload).ok()?)? })
    }
}

/// `typ` (RFC 7515 section 4.1.9): absent, a JWT, or an access token (RFC 9068 section 2.1). An ID token's logout token, a
/// proof of possession and so on are signed by the same keys and are no credentials.
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

impl Verifier {
    /// Prepares everything that does not depend on the token.
    pub(super) fn new(settings: &IssuerSettings) -> Self {
        let whole_seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4);
        let validations = settings.algorithms.iter().map(|algorithm| {
            let mut validation = Validation::new(algorithm.jws());
            validation.set_issuer(&[&settings.issuer]);
            validation.set_audience(&settings.audiences);
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            // The times are checked below, by the one clock.
            validation.validate_exp = false;
            validation.validate_nbf = false;
            (*algorithm, validation)
        });
        Self {
            issuer: Arc::clone(&settings.issuer),
            audiences: settings.audiences.clone(),
            leeway: whole_seconds(settings.leeway.min(IssuerSettings::LEEWAY_MAX)),
            max_age: settings.max_token_age.map(whole_seconds),
            validations: validations.collect(),
        }
    }

    /// Proves a token, or says why not. What costs nothing is checked first; whether it is expired is said only of a token whose
    /// signature is good. `now` is in seconds since 1970.
    pub(super) fn prove(&self, token: &str, said: &Unverified, keys: &KeySet, now: i64) -> Result<Proof, Unproved> {
        let invalid = Unproved::Rejected(Rejection::Invalid);
        if said.claims.issuer() != Some(&*self.issuer) || !said.claims.is_for(&self.audiences) {
            return Err(invalid);
        }
        let times = said.claims.times().ok_or(invalid)?;
        let allowed = self.validations.iter().find(|(algorithm, _)| *algorithm == said.algorithm);
        let (_, validation) = allowed.ok_or(invalid)?;
        let in_time = self.in_time(times, now);
        let candidates = match keys.candidates(said.kid.as_deref(), said.algorithm) {
            Candidates::Some(candidates) => candidates,
            // Keys are not asked for on behalf of a token that would be refused with any key.
            Candidates::Unknown if in_time.is_err() => return Err(invalid),
            Candidates::Unknown => return Err(Unproved::KeyUnknown),
        };
        let signed_by =
            |key: &&super::keyset::Key| jsonwebtoken::decode::<IgnoredAny>(token, &key.verifier, validation).is_ok();
        let key = candidates.into_iter().find(signed_by).ok_or(invalid)?;
        let not_after = in_time.map_err(Unproved::Rejected)?;
        Ok(Proof { fingerprint: key.fingerprint, not_after })
    }

    /// The second from which a token is expired, if it may be used now.
    fn in_time(&self, times: Times, now: i64) -> Result<i64, Rejection> {
        if [times.nbf, times.iat].into_iter().flatten().any(|start| now + self.leeway < start) {
            return Err(Rejection::Invalid);
        }
        let expires = match (self.max_age, times.iat) {
            (Some(max_age), Some(iat)) => times.exp.min(iat.saturating_add(max_age)),
            (Some(_), None) => return Err(Rejection::Invalid),
            (None, _) => times.exp,
        };
        let not_after = expires.saturating_add(self.leeway);
        // RFC 7519 section 4.1.4: not on or after the time.
        if now >= not_after { Err(Rejection::Expired) } else { Ok(not_after) }
    }
}
