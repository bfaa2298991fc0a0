//! The calls that are made of the ledger: one team, one user, eight limits on each of two levels.

use std::sync::Arc;

use futures_util::future::join_all;
use jiff::tz::TimeZone;
use moongate::credits::Credits;
use moongate::ledger::{
    Admission, CallResult, CallSummary, Ledger, Level, Outcome as Ended, Phase, ReservationId,
    Scope, Settlement, Verdict,
};
use moongate::team::{Limit, LimitKind, Limits, TeamId, UserId};

use crate::outcome::Outcome;

/// How a call is admitted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Can be sent at once: two words to the store for each call.
    AsSent,
    /// Waits, and is marked before it is sent: three.
    ThenMarked,
}

impl Way {
    /// What the table says of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsSent => "as sent",
            Self::ThenMarked => "then marked",
        }
    }

    /// The phase in which it is admitted.
    pub fn phase(self) -> Phase {
        match self {
            Self::AsSent => Phase::Dispatched,
            Self::ThenMarked => Phase::Waiting,
        }
    }
}

/// A call like all others.
///
/// # Errors
/// None but that of a name that is none.
pub fn admission(way: Way) -> Outcome<Admission> {
    let user = UserId::parse("user-4711@bench.example").ok_or("a user")?;
    let kinds = LimitKind::ALL.iter().copied().filter(|kind| *kind != LimitKind::CreditsTotal);
    let most = |kind: LimitKind| {
        if kind.name().starts_with("credits") { 1 << 50 } else { Limit::REQUESTS_MAX }
    };
    let limits = Arc::new(Limits::new(kinds.map(|kind| Limit::new(kind, most(kind)))));
    let level = |scope| Level { scope, limits: Arc::clone(&limits) };
    let summary = CallSummary {
        request_id: "0123456789abcdef0123456789abcdef".into(),
        user: user.as_str().into(),
        credential: "token".into(),
        model: "flux/dev".into(),
        images: 1,
        price_version: "2026-11".into(),
        ..CallSummary::default()
    };
    Ok(Admission {
        id: ReservationId::new(),
        team: TeamId::parse("alpha").ok_or("a team")?,
        levels: vec![level(Scope::Team), level(Scope::User(user))],
        time_zone: TimeZone::UTC,
        price: Credits::from_micros(25_000),
        phase: way.phase(),
        summary: summary.into(),
    })
}

/// Admits one more like this; its id.
///
/// # Errors
/// It is not admitted.
pub async fn admit(ledger: &Arc<dyn Ledger>, like: &Admission) -> Outcome<ReservationId> {
    let admission = Admission { id: ReservationId::new(), ..like.clone() };
    let id = admission.id;
    let Verdict::Admitted { .. } = ledger.admit(admission).await? else {
        return Err("refused".into());
    };
    Ok(id)
}

/// Marks a call as sent.
///
/// # Errors
/// It is not open.
pub async fn mark(ledger: &Arc<dyn Ledger>, like: &Admission, id: ReservationId) -> Outcome<()> {
    if ledger.dispatch(&like.team, id).await? {
        Ok(())
    } else {
        Err("a call that is not open".into())
    }
}

/// Settles a call that got its picture.
///
/// # Errors
/// The ledger does not answer.
pub async fn settle(ledger: &Arc<dyn Ledger>, like: &Admission, id: ReservationId) -> Outcome<()> {
    let result = CallResult { status: 200, images: 1, upstream_ms: 2_000, ..CallResult::default() };
    let settlement =
        Settlement { id, outcome: Ended::Charged, charged: like.price, result, keeps_slots: false };
    ledger.settle(&like.team, settlement).await?;
    Ok(())
}

async fn call(ledger: &Arc<dyn Ledger>, like: &Admission) -> Outcome<()> {
    let id = admit(ledger, like).await?;
    if like.phase == Phase::Waiting {
        mark(ledger, like, id).await?;
    }
    settle(ledger, like, id).await
}

/// Makes so many calls, so many of them at once.
///
/// # Errors
/// One of them is not carried out.
pub async fn calls(
    ledger: &Arc<dyn Ledger>,
    like: &Admission,
    count: usize,
    at_once: usize,
) -> Outcome<()> {
    for _ in 0..count / at_once {
        for done in join_all((0..at_once).map(|_| call(ledger, like))).await {
            done?;
        }
    }
    Ok(())
}
