//! The embedded ledger: the contract, the random lives, and what a file must survive.

use std::sync::Arc;

use moongate::clock::Clock;
use moongate::ledger::embedded::{EmbeddedLedger, Settings};
use moongate::ledger::{Ledger, OnUnknown};
use tempfile::TempDir;

use crate::ledger_conformance::{Bench, RETENTION, TTL, on_every_case};
use crate::ledger_model::random_lives_match_the_plain_model;

/// One file in a folder of its own; handles are clones, since a file has one process.
struct OneFile {
    ledger: EmbeddedLedger,
    _folder: TempDir,
}

impl Bench for OneFile {
    async fn start(clock: Clock, on_unknown: OnUnknown) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ledger.db");
        let settings = Settings { path, reservation_ttl: TTL, retention: RETENTION, on_unknown, clock };
        Self { ledger: EmbeddedLedger::open(settings).unwrap(), _folder: folder }
    }

    async fn handle(&self) -> Arc<dyn Ledger> {
        Arc::new(self.ledger.clone())
    }
}

on_every_case!(OneFile);

#[test]
fn random_lives_of_an_embedded_ledger_match_the_plain_model() {
    random_lives_match_the_plain_model::<OneFile>();
}
