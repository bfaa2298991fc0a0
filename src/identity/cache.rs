//! Tokens that were verified, so that none is verified twice: bounded, found by every byte of the token.
//!
//! The map hashes with a random seed of its own and compares whole tokens, so another token can collide but never hit.
//! It lives and dies with one directory: what a reload changes, it cannot remember. Only good tokens are kept: a flood
//! of bad ones pushes nothing out.

use std::sync::Arc;

use foldhash::quality::RandomState;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use super::issuer_keys::IssuerKeys;
use super::token::Proof;
use crate::team::{Team, UserId};

/// How many tokens are remembered.
pub(super) const TOKENS_MAX: usize = 10_000;
/// The longest token that is remembered, in bytes. Longer ones are verified each time.
const TOKEN_BYTES_MAX: usize = 4 * 1024;

/// What a verified token proves, and for how long that holds: a user, and the teams it may speak for. Which of them it
/// is decides each request.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) user: UserId,
    pub(super) teams: Box<[Arc<Team>]>,
    pub(super) keyring: Arc<IssuerKeys>,
    proof: Proof,
}

/// What is known of a token.
pub(super) enum Remembered {
    /// It is as good as when it was verified.
    Good(Arc<Verified>),
    /// It was good, and its time is over.
    Expired,
}

impl Verified {
    pub(super) fn new(user: UserId, teams: Box<[Arc<Team>]>, keyring: Arc<IssuerKeys>, proof: Proof) -> Self {
        Self { user, teams, keyring, proof }
    }
}

/// The tokens of one directory.
pub(super) struct VerifiedTokens(Cache<Box<str>, Arc<Verified>, UnitWeighter, RandomState>);

impl VerifiedTokens {
    pub(super) fn new(tokens_max: usize) -> Self {
        Self(Cache::with(tokens_max, tokens_max as u64, UnitWeighter, RandomState::default(), Default::default()))
    }

    /// Looks a token up; `now` is in seconds since 1970. One whose key has left the key set is forgotten.
    pub(super) fn get(&self, token: &str, now: i64) -> Option<Remembered> {
        let found = self.0.get(token)?;
        if !found.keyring.holds(&found.proof.fingerprint) {
            self.0.remove(token);
            None
        } else if now >= found.proof.not_after {
            self.0.remove(token);
            Some(Remembered::Expired)
        } else {
            Some(Remembered::Good(found))
        }
    }

    pub(super) fn remember(&self, token: &str, verified: &Arc<Verified>) {
        if token.len() <= TOKEN_BYTES_MAX {
            self.0.insert(token.into(), Arc::clone(verified));
        }
    }

    /// How many tokens are remembered.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
