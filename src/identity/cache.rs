//! Cache of verified tokens, so that none is verified twice. Bounded, and looked up by every byte
//! of the token.
//!
//! The map hashes with its own random seed and compares whole tokens, so that another token can
//! collide but never match. It is dropped with its authenticator, so it never outlives a reload.
//! Only verified tokens are kept, so a flood of bad ones evicts nothing.

use std::sync::Arc;

use foldhash::quality::RandomState;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use super::issuer_keys::IssuerKeys;
use super::token::Proof;
use crate::team::{Team, UserId};

/// Most cached tokens.
pub(super) const TOKENS_MAX: usize = 10_000;
/// Longest cached token, in bytes. Longer ones are verified each time.
const TOKEN_BYTES_MAX: usize = 4 * 1024;

/// Result of a verified token, and until when it holds: a user, and the teams it may act for, of
/// which each request chooses one.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) user: UserId,
    pub(super) teams: Box<[Arc<Team>]>,
    pub(super) keyring: Arc<IssuerKeys>,
    proof: Proof,
}

/// A cached token's state.
pub(super) enum Remembered {
    /// A verified credential that is still good.
    Good(Arc<Verified>),
    /// Expired since it was verified.
    Expired,
}

impl Verified {
    pub(super) fn new(
        user: UserId,
        teams: Box<[Arc<Team>]>,
        keyring: Arc<IssuerKeys>,
        proof: Proof,
    ) -> Self {
        Self { user, teams, keyring, proof }
    }
}

/// Verified tokens of one authenticator.
pub(super) struct VerifiedTokens(Cache<Box<str>, Arc<Verified>, UnitWeighter, RandomState>);

impl VerifiedTokens {
    pub(super) fn new(tokens_max: usize) -> Self {
        Self(Cache::with(
            tokens_max,
            tokens_max as u64,
            UnitWeighter,
            RandomState::default(),
            Default::default(),
        ))
    }

    /// Looks up a token; `now` is in seconds since 1970. Drops one whose key has left the key set.
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

    /// Number of cached tokens.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
