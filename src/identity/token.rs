//! A JWT (RFC 7519) of one issuer: read without trust, then proved by one of the issuer's own keys.
//!
//! Follows RFC 8725: the algorithms come from the issuer's settings and from the key, the token only has to agree. What is signed,
//! and how it is checked, is [`super::jws`]'s affair; here it matters for whom a token is, and when.

use std::sync::Arc;

use super::claims::{Claims, Times};
use super::jwk::Fingerprint;
use super::jws::{Jws, Signed};
use super::keyset::KeySet;
use super::rejection::Rejection;
use super::settings::{Algorithm, IssuerSettings};

/// What a token says of itself. None of it is proved.
pub(super) struct Unverified<'a> {
    jws: Jws<'a>,
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
    algorithms: Vec<Algorithm>,
    leeway: i64,
    max_age: Option<i64>,
}

impl<'a> Unverified<'a> {
    /// Reads a token: a JWS whose payload is a JSON object without a member twice.
    pub(super) fn read(token: &'a str) -> Option<Self> {
        let jws = Jws::read(token)?;
        let claims = Claims::read(&jws.payload)?;
        Some(Self { jws, claims })
    }
}

impl Verifier {
    /// Prepares everything that does not depend on the token.
    pub(super) fn new(settings: &IssuerSettings) -> Self {
        let whole_seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4);
        Self {
            issuer: Arc::clone(&settings.issuer),
            audiences: settings.audiences.clone(),
            algorithms: settings.algorithms.clone(),
            leeway: whole_seconds(settings.leeway.min(IssuerSettings::LEEWAY_MAX)),
            max_age: settings.max_token_age.map(whole_seconds),
        }
    }

    /// Proves a token, or says why not. What costs nothing is checked first; whether it is expired is said only of a token whose
    /// signature is good. `now` is in seconds since 1970.
    pub(super) fn prove(&self, said: &Unverified<'_>, keys: &KeySet, now: i64) -> Result<Proof, Unproved> {
        let invalid = Unproved::Rejected(Rejection::Invalid);
        if said.claims.issuer() != Some(&*self.issuer) || !said.claims.is_for(&self.audiences) {
            return Err(invalid);
        }
        let times = said.claims.times().ok_or(invalid)?;
        if !self.algorithms.contains(&said.jws.algorithm) {
            return Err(invalid);
        }
        let in_time = self.in_time(times, now);
        let fingerprint = match said.jws.signed_by(keys) {
            Signed::By(key) => key.fingerprint,
            Signed::ByNobody => return Err(invalid),
            // Keys are not asked for on behalf of a token that would be refused with any key.
            Signed::ByAStranger if in_time.is_err() => return Err(invalid),
            Signed::ByAStranger => return Err(Unproved::KeyUnknown),
        };
        let not_after = in_time.map_err(Unproved::Rejected)?;
        Ok(Proof { fingerprint, not_after })
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
