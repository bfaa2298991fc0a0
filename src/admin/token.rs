//! Operators' tokens: stored as hashes and compared in constant time. A wrong token is logged; many
//! from one address are slowed and then refused.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::Clock;
use crate::identity::throttle::{self, Answered, Throttle};
use crate::refusal::Refusal;
use crate::request::RequestId;
use crate::telemetry::AuditLog;
use crate::telemetry::audit_log::Stranger;

/// One operator's token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The operator's name in audit lines.
    pub name: String,
    /// The SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it allows.
    pub role: Role,
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reading.
    Read,
    /// Reading and changing.
    Write,
}

impl Role {
    /// The role's name, as in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl Token {
    /// Checks that the token has this role.
    ///
    /// # Errors
    /// `role_not_allowed`.
    pub fn may(&self, role: Role) -> Result<(), Refusal> {
        if self.role >= role { Ok(()) } else { Err(Refusal::RoleNotAllowed) }
    }
}

/// Leaves out the hash, from which a weak token could be guessed.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token {}", self.name)
    }
}

/// Authenticates operators. Clones share the throttle.
#[derive(Clone)]
pub(super) struct Tokens {
    throttle: Throttle,
    audit_log: AuditLog,
    clock: Clock,
}

impl Tokens {
    pub(super) fn new(audit_log: AuditLog, clock: Clock) -> Self {
        Self { throttle: Throttle::new("operators"), audit_log, clock }
    }

    /// The token of a request. A good one is never slowed by failures from the same address, since
    /// checking one costs only a hash.
    ///
    /// # Errors
    /// As for [`operator`]; `rate_limited` for a wrong one after too many others from the same
    /// address.
    pub(super) async fn operator(
        &self,
        headers: &HeaderMap,
        tokens: &[Token],
        throttle: &throttle::Settings,
        id: &RequestId,
        from: IpAddr,
    ) -> Result<Token, Refusal> {
        let refusal = match operator(headers, tokens) {
            Ok(token) => return Ok(token.clone()),
            // A missing token is no guess.
            Err(missing @ Refusal::OperatorTokenMissing) => return Err(missing),
            Err(refusal) => refusal,
        };
        let answered = self.throttle.failed(from.into(), throttle, self.clock.elapsed());
        if let Answered::Refused(retry_after) = answered {
            // The throttle has logged once that the address is refused: a flood of guesses must not
            // flood the log.
            let retry_at =
                self.clock.now().checked_add(retry_after).unwrap_or(jiff::Timestamp::MAX);
            return Err(Refusal::TooManyFailures { retry_at, retry_after });
        }
        self.audit_log.refused(&Stranger { at: self.clock.now(), id, from });
        if answered == Answered::Slowly {
            tokio::time::sleep(throttle.slow_by).await;
        }
        Err(refusal)
    }
}

/// The token of a request. It is hashed and compared with every hash, each in constant time, so
/// that the time shows neither which one matches nor whether one does.
///
/// # Errors
/// `credential_missing` without an `Authorization` header; `credential_invalid` for anything but
/// one bearer token of the list.
fn operator<'a>(headers: &HeaderMap, tokens: &'a [Token]) -> Result<&'a Token, Refusal> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let value = sent.next().ok_or(Refusal::OperatorTokenMissing)?;
    let only = if sent.next().is_none() { bearer(value.as_bytes()) } else { None };
    let hash = Sha256::digest(only.ok_or(Refusal::CredentialInvalid)?);
    let matching = |found, token: &'a Token| {
        if bool::from(hash.ct_eq(&token.sha256)) { Some(token) } else { found }
    };
    tokens.iter().fold(None, matching).ok_or(Refusal::CredentialInvalid)
}

/// The text after the scheme (RFC 6750, section 2.1; the scheme's case does not matter, RFC 9110,
/// section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn tokens() -> Vec<Token> {
        [("ops", "first", Role::Write), ("ci", "second", Role::Read)]
            .map(|(name, secret, role)| Token {
                name: name.to_owned(),
                sha256: Sha256::digest(secret).into(),
                role,
            })
            .to_vec()
    }

    fn name(values: &[&str]) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).expect("a value"));
        }
        operator(&headers, &tokens()).map(|token| token.name.clone())
    }

    #[test]
    fn a_token_of_the_list_names_its_operator() {
        assert_eq!(name(&["Bearer first"]), Ok("ops".to_owned()));
        assert_eq!(name(&["bearer second "]), Ok("ci".to_owned()));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(name(&[]), Err(Refusal::OperatorTokenMissing));
        let hash = "Bearer a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e";
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer third",
            "Basic first",
            "first",
            "Bearer first second",
            hash,
        ] {
            assert_eq!(name(&[bad]), Err(Refusal::CredentialInvalid), "{bad}");
        }
        assert_eq!(name(&["Bearer first", "Bearer first"]), Err(Refusal::CredentialInvalid));
    }

    #[test]
    fn only_a_token_that_may_write_may_change() {
        let [write, read] = [0, 1].map(|index| tokens().swap_remove(index));
        assert_eq!((write.may(Role::Read), write.may(Role::Write)), (Ok(()), Ok(())));
        assert_eq!(
            (read.may(Role::Read), read.may(Role::Write)),
            (Ok(()), Err(Refusal::RoleNotAllowed))
        );
    }

    #[test]
    fn a_hash_is_not_shown() {
        assert_eq!(format!("{:?}", tokens()), "[token ops, token ci]");
    }
}
