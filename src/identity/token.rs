//! JWT (RFC 7519) of one issuer: parsed, then verified with the issuer's own keys.
//!
//! Follows RFC 8725: the allowed algorithms come from the issuer's settings and from the key, and
//! the token must match them. [`super::jws`] checks the signature; this file checks audience and
//! validity.

use super::claims::{Claims, Times};
use super::failed_check::FailedCheck;
use super::jwk::{Fingerprint, Key};
use super::jws::{Jws, Misread, Signed};
use super::keyset::KeySet;
use super::settings::{Algorithm, IssuerSettings};

/// A parsed token, not verified.
pub(super) struct Unverified<'a> {
    pub(super) jws: Jws<'a>,
    pub(super) claims: Claims,
}

/// Claims of a verified token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    /// The key that signed it.
    pub(super) fingerprint: Fingerprint,
    /// When it expires, in seconds since 1970.
    pub(super) not_after: i64,
}

/// Why a token was not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unproved {
    /// Names a key that the key set does not have; a newer set might.
    KeyUnknown,
    /// Failed this check.
    Failed(FailedCheck),
}

impl From<FailedCheck> for Unproved {
    fn from(check: FailedCheck) -> Self {
        Self::Failed(check)
    }
}

/// Verifies tokens of one issuer.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    leeway: i64,
    max_age: Option<i64>,
}

impl<'a> Unverified<'a> {
    /// Parses a token: a JWS whose payload is a JSON object without duplicate members.
    pub(super) fn read(token: &'a str) -> Result<Self, Misread> {
        let jws = Jws::read(token)?;
        let claims = Claims::read(&jws.payload).ok_or(Misread::Claims)?;
        Ok(Self { jws, claims })
    }
}

impl Verifier {
    /// Prepares what does not depend on the token.
    pub(super) fn new(settings: &IssuerSettings) -> Self {
        let whole_seconds = |duration: std::time::Duration| {
            i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
        };
        Self {
            audiences: settings.audiences.clone(),
            algorithms: settings.algorithms.clone(),
            leeway: whole_seconds(settings.leeway.min(IssuerSettings::LEEWAY_MAX)),
            max_age: settings.max_token_age.map(whole_seconds),
        }
    }

    /// Verifies a token of this issuer. Cheap checks come first; a token is called expired only
    /// once its signature was verified. `now` is in seconds since 1970.
    pub(super) fn prove(
        &self,
        token: &Unverified<'_>,
        keys: &KeySet,
        now: i64,
    ) -> Result<Proof, Unproved> {
        self.audience(token)?;
        let times = Self::times(token)?;
        self.algorithm(token)?;
        let in_time = self.in_time(times, now);
        let fingerprint = match Self::key(token, keys) {
            Ok(key) => key.fingerprint,
            // No new keys are fetched for a token that would be refused with any key.
            Err(FailedCheck::KeyUnknown) if in_time.is_ok() => return Err(Unproved::KeyUnknown),
            Err(check) => return Err(check.into()),
        };
        Ok(Proof { fingerprint, not_after: in_time? })
    }

    /// Checks the audience.
    pub(super) fn audience(&self, token: &Unverified<'_>) -> Result<(), FailedCheck> {
        if token.claims.is_for(&self.audiences) { Ok(()) } else { Err(FailedCheck::Audience) }
    }

    /// Checks that the issuer may use this algorithm.
    pub(super) fn algorithm(&self, token: &Unverified<'_>) -> Result<(), FailedCheck> {
        if self.algorithms.contains(&token.jws.algorithm) {
            Ok(())
        } else {
            Err(FailedCheck::Algorithm)
        }
    }

    /// The key of the set that signed it.
    pub(super) fn key<'k>(
        token: &Unverified<'_>,
        keys: &'k KeySet,
    ) -> Result<&'k Key, FailedCheck> {
        match token.jws.signed_by(keys) {
            Signed::By(key) => Ok(key),
            Signed::ByNobody => Err(FailedCheck::Signature),
            Signed::ByAStranger => Err(FailedCheck::KeyUnknown),
        }
    }

    /// When it expires, if it is valid now.
    pub(super) fn lifetime(&self, token: &Unverified<'_>, now: i64) -> Result<i64, FailedCheck> {
        self.in_time(Self::times(token)?, now)
    }

    fn times(token: &Unverified<'_>) -> Result<Times, FailedCheck> {
        token.claims.times().ok_or(FailedCheck::Times)
    }

    /// When a token expires, in seconds since 1970, if it is valid now.
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
