//! All rooms that keep something in Redis, and everything they do there.

use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::idempotency::{self, RedisReplays, Store as _};
use moongate::identity::{RedisKeyRegistry, Store as _};
use moongate::ledger::redis::Settings;
use moongate::ledger::{
    Ledger, Outage, Outcome, ReservationId, Scope, SnapshotQuery, TopUp, TopUpId, Unobserved,
    Verdict,
};
use moongate::permits::{AccountLimits, Operation, Permits as _, RedisPermits};
use moongate::team::KeyId;

use crate::idempotency::claims::{claim, of};
use crate::ledger::conformance::harness::{PRICE, call, credits, settlement};
use crate::permits::harness::{call as ask, per_minute};
use crate::support::stored::ledger;

/// How long a claim lives.
const CLAIM_TTL: Duration = Duration::from_secs(300);

/// One thing that is done in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Admit,
    Quote,
    Dispatch,
    Recall,
    Settle,
    Renew,
    Sweep,
    Snapshot,
    Rows,
    OpenCalls,
    OpenNumber,
    Teams,
    UsageOfDays,
    TopUp,
    AcceptLoss,
    Probe,
    Inspect,
    Permit,
    Claim,
    ClaimSent,
    ClaimLost,
    Finish,
    Release,
    Keep,
    Fetch,
    List,
    RegisterVersion,
    RegisterRead,
    RegisterEntry,
    RegisterChange,
    NoteUsed,
    LastUsed,
}

impl Use {
    pub(super) const ALL: [Self; 32] = [
        Self::Admit,
        Self::Quote,
        Self::Dispatch,
        Self::Recall,
        Self::Settle,
        Self::Renew,
        Self::Sweep,
        Self::Snapshot,
        Self::Rows,
        Self::OpenCalls,
        Self::OpenNumber,
        Self::Teams,
        Self::UsageOfDays,
        Self::TopUp,
        Self::AcceptLoss,
        Self::Probe,
        Self::Inspect,
        Self::Permit,
        Self::Claim,
        Self::ClaimSent,
        Self::ClaimLost,
        Self::Finish,
        Self::Release,
        Self::Keep,
        Self::Fetch,
        Self::List,
        Self::RegisterVersion,
        Self::RegisterRead,
        Self::RegisterEntry,
        Self::RegisterChange,
        Self::NoteUsed,
        Self::LastUsed,
    ];

    /// One of each handle, and of each way that something is sent on it.
    pub(super) const ONE_OF_EACH_KIND: [Self; 7] = [
        Self::Settle,
        Self::Rows,
        Self::Probe,
        Self::Permit,
        Self::Claim,
        Self::RegisterChange,
        Self::LastUsed,
    ];
}

/// A handle of each kind.
pub(super) struct Users {
    ledger: Arc<dyn Ledger>,
    permits: RedisPermits,
    replays: RedisReplays,
    registry: RedisKeyRegistry,
}

impl Users {
    pub(super) fn of(settings: &Settings) -> Self {
        let keeping = idempotency::Settings {
            retention: Duration::from_secs(3600),
            join_max: Duration::ZERO,
            answer_bytes_max: 1_000,
            memory_bytes_max: 10_000,
        };
        let (store, clock, observer) =
            (|| settings.store.clone(), Clock::system, || Arc::new(Unobserved));
        Self {
            ledger: ledger(settings.clone()),
            permits: RedisPermits::new(store(), clock(), observer()).unwrap(),
            replays: RedisReplays::new(store(), keeping, clock(), observer()).unwrap(),
            registry: RedisKeyRegistry::new(store(), clock(), observer()).unwrap(),
        }
    }

    /// Does everything once.
    pub(super) async fn do_everything(&self) {
        for one in Use::ALL {
            self.does(one).await;
        }
    }

    /// Does one thing, which must succeed at the first try.
    pub(super) async fn does(&self, one: Use) {
        self.tries(one).await.unwrap_or_else(|outage| panic!("{one:?}: {outage}"));
    }

    pub(super) async fn tries(&self, one: Use) -> Result<(), Outage> {
        match one {
            Use::Admit
            | Use::Quote
            | Use::Dispatch
            | Use::Recall
            | Use::Settle
            | Use::Renew
            | Use::Sweep
            | Use::Snapshot
            | Use::Rows
            | Use::OpenCalls
            | Use::OpenNumber
            | Use::Teams
            | Use::UsageOfDays
            | Use::TopUp
            | Use::AcceptLoss
            | Use::Probe
            | Use::Inspect => self.counts(one).await,
            Use::Permit => self.asks_for_a_permit().await,
            Use::Claim
            | Use::ClaimSent
            | Use::ClaimLost
            | Use::Finish
            | Use::Release
            | Use::Keep
            | Use::Fetch
            | Use::List => self.remembers(one).await,
            Use::RegisterVersion
            | Use::RegisterRead
            | Use::RegisterEntry
            | Use::RegisterChange
            | Use::NoteUsed
            | Use::LastUsed => self.registries(one).await,
        }
    }

    async fn counts(&self, one: Use) -> Result<(), Outage> {
        let (ledger, call, id) = (&self.ledger, call(), ReservationId::new());
        let team = &call.team;
        // The ones that come here are listed in `tries`, without a wildcard.
        #[allow(clippy::wildcard_enum_match_arm)]
        match one {
            Use::Admit => {
                let verdict = ledger.admit(call.admission(id)).await?;
                assert!(matches!(verdict, Verdict::Admitted { .. }));
            }
            Use::Quote => drop(ledger.quote(call.admission(id)).await?),
            Use::Dispatch => drop(ledger.dispatch(team, id).await?),
            Use::Recall => drop(ledger.recall(team, id).await?),
            Use::Settle => {
                ledger.settle(team, settlement(id, Outcome::Charged, PRICE)).await.map(drop)?;
            }
            Use::Renew => ledger.renew(team, &[id]).await?,
            Use::Sweep => drop(ledger.sweep(team).await?),
            Use::Snapshot => {
                let query = SnapshotQuery {
                    team: team.clone(),
                    levels: call.levels.clone(),
                    time_zone: call.zone.clone(),
                    reader: None,
                };
                drop(ledger.snapshot(query).await?);
            }
            Use::OpenCalls => drop(ledger.open_calls(team).await?),
            Use::OpenNumber => drop(ledger.open(team).await?),
            Use::Teams => drop(ledger.teams().await?),
            Use::Rows => drop(ledger.rows(team, 0, 10).await?),
            Use::UsageOfDays => {
                let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
                drop(ledger.usage(team, today..=today).await?);
            }
            Use::TopUp => {
                let top_up =
                    TopUp { id: TopUpId::new(), scope: Scope::Team, credits: credits(PRICE) };
                ledger.top_up(team, top_up).await.map(drop)?;
            }
            Use::AcceptLoss => ledger.accept_loss(team).await?,
            Use::Probe => ledger.probe().await?,
            _ => drop(ledger.inspect().await?),
        }
        Ok(())
    }

    async fn asks_for_a_permit(&self) -> Result<(), Outage> {
        let limits = AccountLimits {
            account: per_minute(1_000_000),
            keys: vec![("a".into(), per_minute(1_000_000))],
            length_max: 10,
            team_length_max: 10,
        };
        self.permits.batch(&limits, &[Operation::Ask(ask("design"))]).await.map(drop)
    }

    async fn remembers(&self, one: Use) -> Result<(), Outage> {
        let id = format!("r-{}", ReservationId::new());
        let claim = claim("once", "{}", &id);
        let kept = of(&claim, "{}");
        // The ones that come here are listed in `tries`, without a wildcard.
        #[allow(clippy::wildcard_enum_match_arm)]
        match one {
            Use::Claim => self.replays.begin(&claim, CLAIM_TTL).await.map(drop),
            Use::ClaimSent => self.replays.sent(&claim, CLAIM_TTL).await.map(drop),
            Use::ClaimLost => self.replays.mark_lost(&claim).await,
            Use::Finish => self.replays.finish(&claim, &kept).await,
            Use::Release => self.replays.release(&claim).await,
            Use::Keep => self.replays.keep(&claim.team, &kept).await,
            Use::Fetch => self.replays.fetch(&claim.team, claim.id).await.map(drop),
            _ => self.replays.list(&claim.team, None).await.map(drop),
        }
    }

    async fn registries(&self, one: Use) -> Result<(), Outage> {
        let key = KeyId::parse("k7Qp2mZr9aBc").unwrap();
        // The ones that come here are listed in `tries`, without a wildcard.
        #[allow(clippy::wildcard_enum_match_arm)]
        match one {
            Use::RegisterVersion => self.registry.version().await.map(drop),
            Use::RegisterRead => self.registry.read().await.map(drop),
            Use::RegisterEntry => self.registry.entry("team:design").await.map(drop),
            Use::RegisterChange => {
                let name = format!("team:{}", ReservationId::new());
                assert!(self.registry.replace(&name, None, b"entry").await?);
                Ok(())
            }
            Use::NoteUsed => self.registry.note_used(&[(key, 1)]).await,
            _ => self.registry.last_used().await.map(drop),
        }
    }
}
