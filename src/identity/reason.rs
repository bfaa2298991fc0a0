//! Explains why a credential failed a check, for the log and for `moongate check-token`.
//!
//! Quotes claims of the token, shortened and escaped; never the token, and nothing of its
//! signature.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::authenticator::Authenticator;
use super::build::Issuer;
use super::failed_check::FailedCheck;
use super::key::{PREFIX, ShownKey};
use super::presented::Presented;
use super::refusal_log::Reason;
use super::settings::ClaimPath;
use super::token::Unverified;
use crate::http::X_MOONGATE_TEAM;
use crate::printable::Printable;
use crate::team::Team;

/// Most values of a list that are quoted.
const SHOWN_MAX: usize = 8;

impl Authenticator {
    /// Why a credential failed a check. Parses the credential again, since this is rarely called.
    pub(super) fn reason(&self, presented: Presented<'_>, check: FailedCheck) -> Reason {
        let Presented { credential, .. } = presented;
        if credential.starts_with(PREFIX) {
            let kid =
                ShownKey::parse(credential).map(|shown| shown.id.to_owned()).unwrap_or_default();
            return Reason { issuer: String::new(), kid, why: of_a_key(check).to_owned() };
        }
        match Unverified::read(credential) {
            Ok(token) => Reason {
                issuer: token
                    .claims
                    .issuer()
                    .map(|issuer| Printable::short(issuer).to_string())
                    .unwrap_or_default(),
                kid: token
                    .jws
                    .kid
                    .as_deref()
                    .map(|kid| Printable::short(kid).to_string())
                    .unwrap_or_default(),
                why: self.why(&token, presented, check),
            },
            Err(misread) => {
                Reason { issuer: String::new(), kid: String::new(), why: misread.to_string() }
            }
        }
    }

    /// The same in words, for a token that can be parsed.
    pub(super) fn why(
        &self,
        token: &Unverified<'_>,
        presented: Presented<'_>,
        check: FailedCheck,
    ) -> String {
        let Some(issuer) = self.issuer_of(token) else { return self.issuer_unknown(token) };
        match check {
            FailedCheck::Audience => {
                let ours = list(issuer.verifier.audiences.iter().map(String::as_str));
                format!(
                    "its aud is {}; the audiences of this issuer are {ours}",
                    described(token.claims.at("/aud"))
                )
            }
            FailedCheck::Algorithm => {
                let allowed: Vec<&str> =
                    issuer.verifier.algorithms.iter().map(|algorithm| algorithm.name()).collect();
                format!(
                    "it is signed with {}; this issuer may use {}",
                    token.jws.algorithm,
                    allowed.join(", ")
                )
            }
            FailedCheck::Times => times(token),
            FailedCheck::NotYetValid | FailedCheck::Expired => self.out_of_time(token, check),
            FailedCheck::KeyUnknown => key_unknown(token, issuer),
            FailedCheck::Signature => {
                format!("the signature is of none of the keys it may be of ({})", key_named(token))
            }
            FailedCheck::TeamUnknown => team_unknown(token, issuer),
            FailedCheck::TeamAmbiguous => {
                let teams = names(&issuer.teams(token));
                format!("it is of several teams, {teams}, and {X_MOONGATE_TEAM} chose none")
            }
            FailedCheck::TeamNotTheirs => {
                let choice = presented.team.map(ToString::to_string).unwrap_or_default();
                format!(
                    "{X_MOONGATE_TEAM} chose {choice}; it is of {}",
                    names(&issuer.teams(token))
                )
            }
            FailedCheck::User => user_unknown(token, &issuer.user_claim),
            FailedCheck::TeamSuspended => "the team or the user is suspended".to_owned(),
            FailedCheck::KeysUnavailable => {
                "no key of this issuer could be read, or not for too long".to_owned()
            }
            FailedCheck::Overloaded => "too many tokens are waiting to be verified".to_owned(),
            FailedCheck::Form
            | FailedCheck::Issuer
            | FailedCheck::Secret
            | FailedCheck::Revoked => String::new(),
        }
    }

    fn issuer_unknown(&self, token: &Unverified<'_>) -> String {
        let Some(found) = token.claims.issuer() else {
            return format!("its iss is {}", described(token.claims.at("/iss")));
        };
        let mut known: Vec<&str> = self.issuers.keys().map(|issuer| &**issuer).collect();
        known.sort_unstable();
        let bare = |issuer: &str| issuer.trim_end_matches('/').to_ascii_lowercase();
        let nearly = known.iter().any(|issuer| bare(issuer) == bare(found));
        let hint = if nearly { "; one differs by a slash at its end, or by capitals" } else { "" };
        format!("its iss is {}; configured are {}{hint}", quoted(found), list(known.into_iter()))
    }

    fn out_of_time(&self, token: &Unverified<'_>, check: FailedCheck) -> String {
        let now = time(self.clock.now().as_second());
        let Some(times) = token.claims.times() else { return String::new() };
        let claim = |name: &str, at: Option<i64>| at.map(|at| format!("{name} {}", time(at)));
        let first = if check == FailedCheck::Expired {
            claim("exp", Some(times.exp))
        } else {
            claim("nbf", times.nbf)
        };
        let claims = [first, claim("iat", times.iat)];
        format!(
            "it says {}; it is {now}",
            claims.into_iter().flatten().collect::<Vec<_>>().join(", ")
        )
    }
}

const fn of_a_key(check: FailedCheck) -> &'static str {
    match check {
        FailedCheck::Form => "it is no gateway key: its form or its checksum is wrong",
        FailedCheck::KeyUnknown => "there is no key of this id",
        FailedCheck::Secret => "the secret is not the key's",
        FailedCheck::Revoked => "the key was revoked",
        FailedCheck::Expired => "the key, or this secret of it, has expired",
        FailedCheck::TeamUnknown => "the key's team is not configured",
        FailedCheck::TeamNotTheirs => "the header chose another team than the key's",
        FailedCheck::TeamSuspended => "the team or the user is suspended",
        FailedCheck::KeysUnavailable => "the key registry could not be read yet",
        FailedCheck::Algorithm
        | FailedCheck::Issuer
        | FailedCheck::Audience
        | FailedCheck::Times
        | FailedCheck::NotYetValid
        | FailedCheck::Signature
        | FailedCheck::User
        | FailedCheck::TeamAmbiguous
        | FailedCheck::Overloaded => "",
    }
}

fn times(token: &Unverified<'_>) -> String {
    let claims = ["exp", "nbf", "iat"]
        .map(|name| format!("{name} is {}", described(token.claims.at(&format!("/{name}")))));
    format!(
        "exp must be a time, nbf and iat must be when they are there, and iat with max_token_age; \
         {}",
        claims.join(", ")
    )
}

fn key_unknown(token: &Unverified<'_>, issuer: &Issuer) -> String {
    let keys = issuer.keyring.read();
    let known = keys.as_ref().as_ref().map(|keys| list(keys.kids())).unwrap_or_default();
    format!("{}; the key set has {known}", key_named(token))
}

fn team_unknown(token: &Unverified<'_>, issuer: &Issuer) -> String {
    let path = issuer.team_claim.as_str();
    let mut known: Vec<&str> = issuer.known_values().collect();
    known.sort_unstable();
    let found = described(token.claims.at(path));
    format!(
        "no team matches: {path} is {found}; this issuer's teams are of {}",
        list(known.into_iter())
    )
}

fn user_unknown(token: &Unverified<'_>, path: &ClaimPath) -> String {
    let found = described(token.claims.at(path.as_str()));
    format!(
        "{} is {found}; a user is a text of 1 to 256 bytes without control characters, and no \
         gateway key's name",
        path.as_str()
    )
}

pub(super) fn key_named(token: &Unverified<'_>) -> String {
    token
        .jws
        .kid
        .as_deref()
        .map_or_else(|| "without a kid".to_owned(), |kid| format!("kid {}", quoted(kid)))
}

fn names(teams: &[Arc<Team>]) -> String {
    teams.iter().map(|team| team.id.as_str()).collect::<Vec<_>>().join(", ")
}

pub(super) fn time(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |at| at.to_string())
}

pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", Printable::short(text))
}

fn list<'t>(values: impl Iterator<Item = &'t str>) -> String {
    let values: Vec<&str> = values.collect();
    let shown: Vec<String> = values.iter().take(SHOWN_MAX).map(|value| quoted(value)).collect();
    match values.len().saturating_sub(SHOWN_MAX) {
        0 if shown.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A claim in words: its string or strings, otherwise only its JSON type.
pub(super) fn described(value: Option<&Value>) -> String {
    match value {
        None => "missing".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Bool(_)) => "true or false".to_owned(),
        Some(Value::Number(_)) => "a number".to_owned(),
        Some(Value::Object(_)) => "an object".to_owned(),
        Some(Value::String(text)) => quoted(text),
        Some(Value::Array(values)) if values.iter().all(Value::is_string) => {
            list(values.iter().filter_map(Value::as_str))
        }
        Some(Value::Array(_)) => "a list with other things than texts in it".to_owned(),
    }
}
