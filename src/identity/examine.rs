//! Examines a token check by check, for `moongate check-token`, with the checks of `super::token`
//! and [`super::authenticator`].

use super::authenticator::{Authenticator, Judged, chosen};
use super::build::Issuer;
use super::failed_check::FailedCheck;
use super::fetch::Fetcher;
use super::issuer_keys::RenewalError;
use super::presented::Presented;
use super::reason::{described, key_named, quoted, time};
use super::token::{Unverified, Verifier};
use crate::identity::principal::Identified;

/// One check of a token, with its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the check.
    pub what: &'static str,
    /// Whether it passed; `None` when an earlier failure left nothing to check.
    pub passed: Option<bool>,
    /// The finding, or why it failed.
    pub detail: String,
}

/// Result of an examination.
#[derive(Debug)]
pub struct Examination {
    /// Every check, in order.
    pub findings: Vec<Finding>,
    /// The gateway's decision.
    pub verdict: Result<Identified, FailedCheck>,
}

/// Checks in order.
const CHECKS: [&str; 9] = [
    "form",
    "issuer",
    "audience",
    "algorithm",
    "lifetime",
    "signature",
    "team",
    "user",
    "suspension",
];

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn note<T>(
        &mut self,
        result: Result<T, FailedCheck>,
        good: impl FnOnce(T) -> String,
        bad: impl FnOnce() -> String,
    ) {
        let what = CHECKS.get(self.0.len()).copied().unwrap_or_default();
        let (passed, detail) = match result {
            Ok(found) => (true, good(found)),
            Err(_) => (false, bad()),
        };
        self.0.push(Finding { what, passed: Some(passed), detail });
    }

    /// Notes the checks of what the issuer asserts: the audience, the validity and the signature.
    /// `why` explains a failed check.
    fn note_signature(
        &mut self,
        issuer: &Issuer,
        token: &Unverified<'_>,
        now: i64,
        why: &impl Fn(FailedCheck) -> String,
    ) {
        self.note(
            issuer.verifier.audience(token),
            |()| format!("it is for {}", described(token.claims.at("/aud"))),
            || why(FailedCheck::Audience),
        );
        self.note(
            issuer.verifier.algorithm(token),
            |()| token.jws.algorithm.to_string(),
            || why(FailedCheck::Algorithm),
        );
        let lifetime = issuer.verifier.lifetime(token, now);
        let good = |until| format!("until {}, the leeway included", time(until));
        self.note(lifetime, good, || why(lifetime.err().unwrap_or(FailedCheck::Times)));
        let keys = issuer.keyring.read();
        let signed = match keys.as_ref() {
            Some(keys) => Verifier::key(token, keys).map(|key| key.kid.clone()),
            None => Err(FailedCheck::KeysUnavailable),
        };
        let failed = signed.as_ref().err().copied().unwrap_or(FailedCheck::Signature);
        self.note(signed, |kid| signed_by(kid.as_deref()), || why(failed));
    }

    /// The team and the user that the token names.
    fn note_caller(
        &mut self,
        issuer: &Issuer,
        token: &Unverified<'_>,
        presented: Presented<'_>,
        why: &impl Fn(FailedCheck) -> String,
    ) {
        let teams = issuer.teams(token);
        let team = chosen(&teams, presented.team);
        let failed = team.err().unwrap_or(FailedCheck::TeamUnknown);
        self.note(
            team,
            |team| format!("{}, by {}", team.id, issuer.team_claim.as_str()),
            || why(failed),
        );
        let user = token.claims.user(&issuer.user_claim).ok_or(FailedCheck::User);
        self.note(user, |user| quoted(user.as_str()), || why(FailedCheck::User));
    }

    fn skip(&mut self) {
        let what = CHECKS.get(self.0.len()).copied().unwrap_or_default();
        self.0.push(Finding { what, passed: None, detail: String::new() });
    }

    fn whole(mut self) -> Vec<Finding> {
        while self.0.len() < CHECKS.len() {
            self.skip();
        }
        self.0
    }
}

impl Authenticator {
    /// Examines a token check by check, and says how the gateway would decide. Counts and logs
    /// nothing.
    pub fn examine<'a>(&self, presented: impl Into<Presented<'a>>) -> Examination {
        let presented = presented.into();
        let verdict = match self.judge(presented) {
            Judged::Finally(answer) => answer,
            Judged::KeyUnknown(_) => Err(FailedCheck::KeyUnknown),
        };
        Examination { findings: self.findings(presented, &verdict), verdict }
    }

    /// Reads the keys of the issuer that a token names, as the gateway does in the background.
    ///
    /// # Errors
    /// Why they could not be read.
    pub async fn read_keys_for(&self, token: &str) -> Result<(), RenewalError> {
        let Ok(token) = Unverified::read(token) else { return Ok(()) };
        let Some(issuer) = self.issuer_of(&token) else { return Ok(()) };
        let fetcher: Option<&Fetcher> = issuer.fetcher.as_deref();
        issuer.keyring.read_once(fetcher, &self.clock).await
    }

    fn findings(
        &self,
        presented: Presented<'_>,
        verdict: &Result<Identified, FailedCheck>,
    ) -> Vec<Finding> {
        let mut findings = Findings::default();
        let token = match Unverified::read(presented.credential) {
            Ok(token) => token,
            Err(misread) => {
                findings.note::<()>(
                    Err(misread.check()),
                    |()| String::new(),
                    || misread.to_string(),
                );
                return findings.whole();
            }
        };
        let form =
            |()| format!("a token signed with {}, {}", token.jws.algorithm, key_named(&token));
        findings.note(Ok(()), form, String::new);
        let why = |check| self.why(&token, presented, check);
        let issuer = self.issuer_of(&token);
        findings.note(
            issuer.ok_or(FailedCheck::Issuer),
            |known| quoted(&known.keyring.issuer),
            || why(FailedCheck::Issuer),
        );
        let Some(issuer) = issuer else { return findings.whole() };
        let now = self.clock.now().as_second();
        findings.note_signature(issuer, &token, now, &why);
        findings.note_caller(issuer, &token, presented, &why);
        if matches!(verdict, Ok(_) | Err(FailedCheck::TeamSuspended)) {
            let suspended = verdict.as_ref().map(drop).map_err(|check| *check);
            findings.note(
                suspended,
                |()| "neither the team nor the user is".to_owned(),
                || why(FailedCheck::TeamSuspended),
            );
        }
        findings.whole()
    }
}

fn signed_by(kid: Option<&str>) -> String {
    kid.map_or_else(
        || "by the key without a kid".to_owned(),
        |kid| format!("by the key {}", quoted(kid)),
    )
}
