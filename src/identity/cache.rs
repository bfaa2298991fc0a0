//! Tokens that were verified, so that none is verified twice: bounded, found by every byte of the token.
//!
//! The map hashes with a random seed of its own and compares whole tokens, so another token can collide but never hit. It lives
//! and dies with one directory: what a reload changes, it cannot remember. Only good tokens are kept: a flood of bad ones pushes
//! nothing out.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::keyring::Keyring;
use super::principal::Principal;
use super::token::Proof;
use crate::team::Team;

/// How many tokens are remembered.
pub(super) const TOKENS_MAX: usize = 10_000;
/// The longest token that is remembered, in bytes. Longer ones are verified each time.
const TOKEN_BYTES_MAX: usize = 4 * 1024;

/// Who a verified token speaks for, and for how long that holds.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) principal: Principal,
    pub(super) team: Arc<Team>,
    proof: Proof,
    keyring: Arc<Keyring>,
}

/// What is known of a token.
pub(super) enum Remembered {
    /// It is as good as when it was verified.
    Good(Arc<Verified>),
    /// It was good, and its time is over.
    Expired,
}

impl Verified {
    pub(super) fn new(principal: Principal, team: Arc<Team>, proof: Proof, keyring: Arc<Keyring>) -> Arc<Self> {
        Arc::new(Self { principal, team, proof, keyring })
    }
}

/// The tokens of one directory.
pub(super) struct VerifiedTokens(Cache<Box<str>, Arc<Verified>>);

impl VerifiedTokens {
    pub(super) fn new(tokens_max: usize) -> Self {
        Self(Cache::new(tokens_max))
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

    pub(super) fn remember(&self, token: &str, verified: Arc<Verified>) {
        if token.len() <= TOKEN_BYTES_MAX {
            self.0.insert(token.into(), verified);
        }
    }

    /// How many tokens are remembered.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
