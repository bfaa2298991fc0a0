//! Examines a token: every check that lets callers in, one by one, for `moongate check-token`. The checks are those of
//! [`super::token`] and [`super::authenticator`]; here is only the order in which they are told.

use super::authenticator::{Authenticator, Judged, chosen};
use super::failed_check::FailedCheck;
use super::fetch::Fetcher;
use super::issuer_keys::RenewalError;
use super::presented::Presented;
use super::reason::{described, key_named, quoted, time};
use super::token::{Unverified, Verifier};
use crate::identity::principal::Identified;

/// One check of a token, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub what: &'static str,
    /// Whether it passed; `None` when an earlier one left nothing to check.
    pub passed: Option<bool>,
    /// What was found, or why it did not pass.
    pub words: String,
}

/// What becomes of a token.
#[derive(Debug)]
pub struct Examination {
    /// Every check, in order.
    pub findings: Vec<Finding>,
    /// What a caller would meet.
    pub verdict: Result<Identified, FailedCheck>,
}

/// What is checked, in order.
const CHECKS: [&str; 9] =
    ["form", "issuer", "audience", "algorithm", "lifetime", "signature", "team", "user", "suspension"];

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
        let (passed, words) = match result {
            Ok(found) => (true, good(found)),
            Err(_) => (false, bad()),
        };
        self.0.push(Finding { what, passed: Some(passed), words });
    }

    fn skip(&mut self) {
        let what = CHECKS.get(self.0.len()).copied().unwrap_or_default();
        self.0.push(Finding { what, passed: None, words: String::new() });
    }

    fn whole(mut self) -> Vec<Finding> {
        while self.0.len() < CHECKS.len() {
            self.skip();
        }
        self.0
    }
}

impl Authenticator {
    /// Examines a token check by check, and says what a caller who presents it would meet. Nothing is counted or
    /// written down.
    pub fn examine<'a>(&self, presented: impl Into<Presented<'a>>) -> Examination {
        let presented = presented.into();
        let verdict = match self.judge(presented) {
            Judged::Finally(answer) => answer,
            Judged::KeyUnknown(_) => Err(FailedCheck::KeyUnknown),
        };
        Examination { findings: self.findings(presented, &verdict), verdict }
    }

    /// Reads the keys of the issuer that a token says it is of, as the gateway does beside its work.
    ///
    /// # Errors
    /// Says why they could not be read.
    pub async fn read_keys_for(&self, token: &str) -> Result<(), RenewalError> {
        let Ok(said) = Unverified::read(token) else { return Ok(()) };
        let Some(issuer) = self.issuer_of(&said) else { return Ok(()) };
        let fetcher: Option<&Fetcher> = issuer.fetcher.as_deref();
        issuer.keyring.read_once(fetcher, &self.clock).await
    }

    fn findings(&self, presented: Presented<'_>, verdict: &Result<Identified, FailedCheck>) -> Vec<Finding> {
        let mut findings = Findings::default();
        let said = match Unverified::read(presented.credential) {
            Ok(said) => said,
            Err(misread) => {
                findings.note::<()>(Err(misread.check()), |()| String::new(), || misread.to_string());
                return findings.whole();
            }
        };
        let form = |()| format!("a token signed with {}, {}", said.jws.algorithm, key_named(&said));
        findings.note(Ok(()), form, String::new);
        let why = |check| self.why(&said, presented, check);
        let issuer = self.issuer_of(&said);
        findings.note(
            issuer.ok_or(FailedCheck::Issuer),
            |known| quoted(&known.keyring.issuer),
            || why(FailedCheck::Issuer),
        );
        let Some(issuer) = issuer else { return findings.whole() };
        findings.note(
            issuer.verifier.audience(&said),
            |()| format!("it is for {}", described(said.claims.at("/aud"))),
            || why(FailedCheck::Audience),
        );
        let algorithm = issuer.verifier.algorithm(&said);
        findings.note(algorithm, |()| said.jws.algorithm.to_string(), || why(FailedCheck::Algorithm));
        let lifetime = issuer.verifier.lifetime(&said, self.clock.now().as_second());
        let good = |until| format!("until {}, the leeway included", time(until));
        findings.note(lifetime, good, || why(lifetime.err().unwrap_or(FailedCheck::Times)));
        let keys = issuer.keyring.read();
        match keys.as_ref() {
            Some(keys) => {
                let signed = Verifier::key(&said, keys).map(|key| key.kid.clone());
                let failed = signed.as_ref().err().copied().unwrap_or(FailedCheck::Signature);
                findings.note(signed, |kid| signed_by(kid.as_deref()), || why(failed));
            }
            None => findings.note::<()>(
                Err(FailedCheck::KeysUnavailable),
                |()| String::new(),
                || why(FailedCheck::KeysUnavailable),
            ),
        }
        let teams = issuer.teams(&said);
        let team = chosen(&teams, presented.team);
        let failed = team.err().unwrap_or(FailedCheck::TeamUnknown);
        findings.note(team, |team| format!("{}, by {}", team.id, issuer.team_claim.as_str()), || why(failed));
        let user = said.claims.user(&issuer.user_claim).ok_or(FailedCheck::User);
        findings.note(user, |user| quoted(user.as_str()), || why(FailedCheck::User));
        if matches!(verdict, Ok(_) | Err(FailedCheck::TeamSuspended)) {
            let asked = verdict.as_ref().map(drop).map_err(|check| *check);
            findings.note(
                asked,
                |()| "neither the team nor the user is".to_owned(),
                || why(FailedCheck::TeamSuspended),
            );
        }
        findings.whole()
    }
}

fn signed_by(kid: Option<&str>) -> String {
    kid.map_or_else(|| "by the key without a kid".to_owned(), |kid| format!("by the key {}", quoted(kid)))
}
