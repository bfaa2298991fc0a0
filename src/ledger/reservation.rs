//! A reservation: money that one running call holds. It is settled, or it hands itself over; it is never just lost.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::HeaderValue;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Phase;
use crate::credits::Credits;
use crate::team::TeamId;

/// Names a call, its reservation and the row it becomes. Made by the gateway, never by a caller, and never twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReservationId(Uuid);

impl ReservationId {
    /// Sorts before every other.
    pub const MIN: Self = Self(Uuid::nil());
    /// Sorts after every other.
    pub const MAX: Self = Self(Uuid::max());

    /// How long it is as text.
    pub const LENGTH: usize = uuid::fmt::Simple::LENGTH;

    /// A new id; ids made later sort later.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of this number, for a reservation that stands for others.
    pub(super) const fn from_number(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }

    /// When it was made, by the clock of whoever made it; `None` of an id that was not made here.
    #[must_use]
    pub fn made_at(self) -> Option<Timestamp> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
    }

    /// The id as a header value.
    #[must_use]
    pub fn to_header(self) -> HeaderValue {
        let mut text = [0; Self::LENGTH];
        HeaderValue::from_str(self.encode(&mut text)).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }

    /// The id as text, written into this.
    pub fn encode(self, text: &mut [u8; Self::LENGTH]) -> &str {
        self.0.simple().encode_lower(text)
    }
}

impl Default for ReservationId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for ReservationId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl Serialize for ReservationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ReservationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// How far a reserved call has come, as this process knows it. Clones tell of the same call.
#[derive(Clone, Debug)]
pub struct Progress(Arc<AtomicU8>);

impl Progress {
    /// The progress of a call that was reserved in this phase.
    #[must_use]
    pub fn new(phase: Phase) -> Self {
        Self(Arc::new(AtomicU8::new(phase as u8)))
    }

    /// Whether the upstream may have seen the call.
    #[must_use]
    pub fn phase(&self) -> Phase {
        const WAITING: u8 = Phase::Waiting as u8;
        const TURNED_BACK: u8 = Phase::TurnedBack as u8;
        match self.0.load(Ordering::Relaxed) {
            WAITING => Phase::Waiting,
            TURNED_BACK => Phase::TurnedBack,
            _ => Phase::Dispatched,
        }
    }

    /// Notes how far the call is. That the first byte is about to be sent is noted after the store was told; that the
    /// call waits again, before.
    pub fn reached(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }
}

/// A reservation that was dropped before it was settled: the call panicked, or its task was ended.
#[derive(Debug)]
pub struct Orphan {
    /// Whose.
    pub team: TeamId,
    /// Which.
    pub id: ReservationId,
    /// The model of its call, as a metric label.
    pub model_label: Box<str>,
    /// What it reserved.
    pub price: Credits,
    /// Whether the upstream may have seen it.
    pub phase: Phase,
}

/// Money held for one call. Not `Clone`: there is one holder, who settles it.
#[derive(Debug)]
pub struct Reservation {
    id: ReservationId,
    team: TeamId,
    model_label: Box<str>,
    price: Credits,
    progress: Progress,
    orphans: Option<mpsc::Sender<Orphan>>,
}

impl Reservation {
    /// What an admission reserved. Dropped unsettled, it goes to `orphans`; when that channel is full or gone, the
    /// sweep ends it after its deadline.
    #[must_use]
    pub fn new(
        id: ReservationId,
        team: TeamId,
        model_label: &str,
        price: Credits,
        phase: Phase,
        orphans: mpsc::Sender<Orphan>,
    ) -> Self {
        let model_label = model_label.into();
        Self { id, team, model_label, price, progress: Progress::new(phase), orphans: Some(orphans) }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> ReservationId {
        self.id
    }

    /// The team that pays.
    #[must_use]
    pub const fn team(&self) -> &TeamId {
        &self.team
    }

    /// The model of its call, as a metric label.
    #[must_use]
    pub fn model_label(&self) -> &str {
        &self.model_label
    }

    /// The most it can cost.
    #[must_use]
    pub const fn price(&self) -> Credits {
        self.price
    }

    /// How far its call has come.
    #[must_use]
    pub const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Notes that the store has settled it, or that a settlement is on its way in the bounded queue.
    pub fn settled(mut self) {
        self.orphans = None;
    }
}

impl Drop for Reservation {
    /// Does no I/O: hands the reservation to the task that settles what was left behind.
    fn drop(&mut self) {
        if let Some(orphans) = self.orphans.take() {
            let phase = self.progress.phase();
            let (team, model_label) = (self.team.clone(), std::mem::take(&mut self.model_label));
            let orphan = Orphan { team, id: self.id, model_label, price: self.price, phase };
            // A full channel is no loss: the reservation's deadline passes and the sweep ends it.
            let _ = orphans.try_send(orphan);
        }
    }
}
