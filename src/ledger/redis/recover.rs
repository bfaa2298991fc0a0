//! What is done when the store was away, or lacks something: it is brought what this process knows, or taken for new.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::SignedDuration;
use redis::Value;

use super::courier::Courier;
use super::failure::outage_of;
use super::head::{Head, Mode};
use super::keys::{Keys, TEAMS};
use super::line::Line;
use super::link::Link;
use super::loss::{Loss, Point};
use super::operation::Operation;
use super::redo::{self, Lost};
use super::told::Told;
use super::vouch::Belief;
use crate::ledger::{OnLoss, Outage};
use crate::team::TeamId;

/// How many calls, top-ups, or counts, are brought at a time.
const BRING_MOST: usize = 64;
/// How many keys are looked for at a time.
const LOOK_MOST: usize = 1_000;
/// How long, beside a heart-beat, those who are alive may take to speak again after the store was away.
const SETTLE_DOWN: Duration = Duration::from_secs(1);

impl Courier {
    /// A batch may end what was left behind only while it is fresh, and not when the store has only just returned: others
    /// who are alive come first, to put off their deadlines and to say how their calls ended.
    pub(super) fn sweep_until(&self, line: &Line) -> u64 {
        if !line.breaker.is_settled(self.settings.reservation_ttl / 3 + SETTLE_DOWN) {
            return 0;
        }
        let latest =
            self.store_now().saturating_add(SignedDuration::try_from(self.settings.deadline).unwrap_or_default());
        latest.map_or(u64::MAX, |latest| u64::try_from(latest.as_microsecond()).unwrap_or(0))
    }

    /// Does what an answer asks for that says that nothing was done, and says how the batch is sent again.
    pub(super) async fn heed(&self, line: &Line, link: &mut Link, told: Told, mode: Mode) -> Result<Mode, Outage> {
        match told {
            Told::Done(_) => Ok(mode),
            Told::OtherDay(at) => {
                self.learn(at);
                Ok(mode)
            }
            Told::NothingHere => self.judge_nothing(line, link, mode).await,
            Told::Lacking(loss) => {
                self.bring(line, link, &loss).await?;
                if loss.closed && mode != Mode::Accepting { Err(Outage::Lost) } else { Ok(mode) }
            }
        }
    }

    /// Brings the store what it lacks and this process knows, and learns under which epoch it goes on.
    async fn bring(&self, line: &Line, link: &mut Link, loss: &Loss) -> Result<(), Outage> {
        let (first, lost, top_ups, floors) = {
            let mut seen = line.seen();
            (
                seen.loses(loss),
                seen.lost_calls(loss),
                seen.lost_top_ups(loss),
                if seen.known.epoch < loss.now.epoch { seen.floors() } else { Vec::new() },
            )
        };
        if first {
            self.observer.epoch_changed(&line.team);
            let what_next = match (loss.closed, self.settings.on_loss) {
                (false, _) => "it was rebuilt without what this replica knows, which is brought now",
                (true, OnLoss::Rebuild) => "its budgets are closed until every replica has brought what it knows",
                (true, OnLoss::Hold) => "its budgets are closed until an operator accepts what is left",
            };
            let calls = lost.len();
            tracing::error!(team = %line.team, calls, what_next, "the store of the ledger has lost writes of a team");
            // From this moment the others have time; what this one has to say of the team it knows itself.
            if let Err(error) = self.ask_anew(line, link).await {
                tracing::debug!(%error, "the store does not note whose reign it is");
            }
        }
        let mut known = Point { epoch: loss.now.epoch, ..Point::default() };
        for calls in lost.chunks(BRING_MOST) {
            known = self.bring_some(line, link, known, Lost { calls, ..Lost::default() }).await?;
            line.seen().brought(calls, known);
        }
        for top_ups in top_ups.chunks(BRING_MOST) {
            known = self.bring_some(line, link, known, Lost { top_ups, ..Lost::default() }).await?;
            line.seen().brought_top_ups(top_ups, known);
        }
        for floors in floors.chunks(BRING_MOST) {
            known = self.bring_some(line, link, known, Lost { floors, ..Lost::default() }).await?;
        }
        line.seen().learns(known);
        self.note_team(line, link);
        Ok(())
    }

    async fn bring_some(&self, line: &Line, link: &mut Link, known: Point, lost: Lost<'_>) -> Result<Point, Outage> {
        let head = Head { known, mode: Mode::Redoing, now: self.fixed_now(), sweep_until: 0, voucher: self.voucher };
        let request = redo::written(lost, head, &self.settings);
        let (value, _) =
            self.script.apply(link, &line.keys, &request, None).await.map_err(|error| outage_of(&error))?;
        match Told::read(value)? {
            Told::Done(answer) => Ok(answer.point),
            // Lost again in this very moment: it is noticed again.
            Told::OtherDay(_) | Told::NothingHere | Told::Lacking(_) => Err(Outage::Lost),
        }
    }

    /// Asks whether keys of a team that are not there should be, by their names behind its prefix. If so, that is a loss.
    pub(super) async fn look_for(self: &Arc<Self>, team: &TeamId, names: &[String]) -> Result<(), Outage> {
        let keys = Keys::of(team);
        for some in names.chunks(LOOK_MOST) {
            let known = self.line(team).seen().known;
            let head =
                Head { known, mode: Mode::Looking, now: self.fixed_now(), sweep_until: 0, voucher: self.voucher };
            let request = redo::looking(some, head, &self.settings);
            let (script, keys, request) = (&self.script, &keys, &request);
            let told = self.on_link(Some(team), &keys.open, |mut link| async move {
                script.apply(&mut link, keys, request, None).await.map(|(value, _)| value)
            });
            if let Told::Lacking(_) = Told::read(told.await?)? {
                // As anyone who comes now, this one hears of it, and brings what it knows.
                self.ask(team, |reply| Operation::Sweep { reply }).await?;
            }
        }
        Ok(())
    }

    /// The store knows nothing of the team, and neither do we. The store may have known it once, or have been emptied since it
    /// was last believed; else the team is new.
    async fn judge_nothing(&self, line: &Line, link: &mut Link, mode: Mode) -> Result<Mode, Outage> {
        if matches!(mode, Mode::MustHave | Mode::Accepting) {
            return Err(Outage::Refused("a team's epoch could not be made".to_owned()));
        }
        // First of all: should the store be emptied from here on, the mark is gone with what is found out now.
        self.leave_mark(line, link).await.map_err(|error| outage_of(&error))?;
        let mut asked = redis::cmd("SISMEMBER");
        asked.arg(TEAMS).arg(line.team.as_str());
        if link.run(&asked).await.map_err(|error| outage_of(&error))? == Value::Int(1) {
            return Ok(Mode::MustHave);
        }
        match self.ask_anew(line, link).await.map_err(|error| outage_of(&error))? {
            Belief::Believed => Ok(Mode::MayMake),
            Belief::TooNew | Belief::Held => Err(Outage::Lost),
        }
    }

    /// Notes in the store that it has this team, beside what goes on. If that fails it is done again with the next batch:
    /// should the team's own keys be lost, a replica that has just started could not tell that from its being new; and
    /// should the team leave the configuration, reports and sweeps would not find it.
    pub(super) fn note_team(&self, line: &Line, link: &Link) {
        let (mut link, team, is_noted) = (link.clone(), line.team.clone(), Arc::clone(&line.is_noted));
        tokio::spawn(async move {
            let mut note = redis::cmd("SADD");
            note.arg(TEAMS).arg(team.as_str());
            if let Err(error) = link.run(&note).await {
                is_noted.store(false, Ordering::Relaxed);
                tracing::debug!(%error, %team, "the store does not note that it has this team");
            }
        });
    }
}
