//! A JWT (RFC 7519) of one issuer: read without trust, then proved by one of the issuer's own keys.
//!
//! Follows RFC 8725: the algorithms come from the issuer's settings and from the key, the token only has to agree. What
//! is signed, and how it is checked, is [`super::jws`]'s affair; here it matters for whom a token is, and when.

use super::claims::{Claims, Times};
use super::failed_check::FailedCheck;
use super::jwk::{Fingerprint, Key};
use super::jws::{Jws, Misread, Signed};
use super::keyset::KeySet;
use super::settings::{Algorithm, IssuerSettings};

/// What a token says of itself. None of it is proved.
pub(super) struct Unverified<'a> {
    pub(super) jws: Jws<'a>,
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
    /// It did not pass this check.
    Failed(FailedCheck),
}

impl From<FailedCheck> for Unproved {
    fn from(check: FailedCheck) -> Self {
        Self::Failed(check)
    }
}

/// Proves tokens of one issuer.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    leeway: i64,
    max_age: Option<i64>,
}

impl<'a> Unverified<'a> {
    /// Reads a token: a JWS whose payload is a JSON object without a member twice.
    pub(super) fn read(token: &'a str) -> Result<Self, Misread> {
        let jws = Jws::read(token)?;
        let claims = Claims::read(&jws.payload).ok_or(Misread::Claims)?;
        Ok(Self { jws, claims })
    }
}

impl Verifier {
    /// Prepares everything that does not depend on the token.
    pub(super) fn new(settings: &IssuerSettings) -> Self {
        let whole_seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4);
        Self {
            audiences: settings.audiences.clone(),
            algorithms: settings.algorithms.clone(),
            leeway: whole_seconds(settings.leeway.min(IssuerSettings::LEEWAY_MAX)),
            max_age: settings.max_token_age.map(whole_seconds),
        }
    }

    /// Proves a token of this issuer, or says which check it did not pass. What costs nothing is checked first; whether
    /// its time is over is said only of a token whose signature is good. `now` is in seconds since 1970.
    pub(super) fn prove(&self, said: &Unverified<'_>, keys: &KeySet, now: i64) -> Result<Proof, Unproved> {
        self.audience(said)?;
        let times = Self::times(said)?;
        self.algorithm(said)?;
        let in_time = self.in_time(times, now);
        let fingerprint = match Self::key(said, keys) {
            Ok(key) => key.fingerprint,
            // Keys are not asked for on behalf of a token that would be refused with any key.
            Err(FailedCheck::KeyUnknown) if in_time.is_ok() => return Err(Unproved::KeyUnknown),
            Err(check) => return Err(check.into()),
        };
        Ok(Proof { fingerprint, not_after: in_time? })
    }

    /// Whether it is for one of this issuer's audiences.
    pub(super) fn audience(&self, said: &Unverified<'_>) -> Result<(), FailedCheck> {
        if said.claims.is_for(&self.audiences) { Ok(()) } else { Err(FailedCheck::Audience) }
    }

    /// Whether it is signed in a way that this issuer's tokens may be.
    pub(super) fn algorithm(&self, said: &Unverified<'_>) -> Result<(), FailedCheck> {
        if self.algorithms.contains(&said.jws.algorithm) { Ok(()) } else { Err(FailedCheck::Algorithm) }
    }

    /// The key of the set that signed it.
    pub(super) fn key<'k>(said: &Unverified<'_>, keys: &'k KeySet) -> Result<&'k Key, FailedCheck> {
        match said.jws.signed_by(keys) {
            Signed::By(key) => Ok(key),
            Signed::ByNobody => Err(FailedCheck::Signature),
            Signed::ByAStranger => Err(FailedCheck::KeyUnknown),
        }
    }

    /// Until when it may be used, if it may be now.
    pub(super) fn lifetime(&self, said: &Unverified<'_>, now: i64) -> Result<i64, FailedCheck> {
        self.in_time(Self::times(said)?, now)
    }

    fn times(said: &Unverified<'_>) -> Result<Times, FailedCheck> {
        said.claims.times().ok_or(FailedCheck::Times)
    }

    /// The second from which a token is expired, if it may be used now.
    fn in_time(&self, times: Times, now: i64) -> Result<i64, FailedCheck> {
        if [times.nbf, times.iat].into_iter().flatten().any(|start| now + self.leeway < start) {
            return Err(FailedCheck::NotYetValid);
        }
        let expires = match (self.max_age, times.iat) {
            (Some(max_age), Some(iat)) => times.exp.min(iat.saturating_add(max_age)),
            (Some(_), None) => return Err(FailedCheck::Times),
            (None, _) => times.exp,
        };
        let not_after = expires.saturating_add(self.leeway);
        // RFC 7519 section 4.1.4: not on or after the time.
        if now >= not_after { Err(FailedCheck::Expired) } else { Ok(not_after) }
    }
}
