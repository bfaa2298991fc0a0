//! Reads the script's answer and hands each operation its part.
//!
//! Behind its head (see `told`) the answer has each operation's part; then, of each limit of each level, how it stands after
//! the whole batch. So an admission's standings also tell what others did in the same step. Last, and rarely, come the budgets
//! that are nearly used up, and what was charged of calls that had been left behind.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use redis::Value;

use super::given_up::GivenUp;
use super::loss::Point;
use super::operation::{Claim, Operation};
use super::told::{Answer, Count, Reader, misread};
use super::witness::Seen;
use crate::ledger::calendar::Calendar;
use crate::ledger::topup::raised;
use crate::ledger::{
    Books, Crossing, Inquiry, Level, Outage, Phase, Settled, Standing, Swept, SweptCharge, TooOften, ToppedUp, Verdict,
};
use crate::team::limit::{Period, Shape};
use crate::team::{Limit, LimitKind, TeamId};

/// How many numbers come before the operations' parts.
const HEAD: usize = 8;
/// How many items tell of a budget that came to its soft threshold.
const CROSSING: usize = 6;
/// How many items tell what was charged of a model by the way.
const CHARGE: usize = 2;

/// What is needed to read an answer.
pub(super) struct Context<'a> {
    pub(super) team: &'a TeamId,
    pub(super) calendar: Option<&'a Arc<Calendar>>,
    /// As in the request.
    pub(super) level_places: &'a [usize],
    pub(super) given_up: &'a Arc<GivenUp>,
    /// Set when too few replicas have what was admitted: no admission stands.
    pub(super) unacknowledged: Option<Outage>,
}

impl Answer {
    /// The budgets that came to their soft thresholds: what the answer has before the charges, each beginning with a text.
    pub(super) fn crossings(&self, calendar: Option<&Arc<Calendar>>) -> Result<Vec<Crossing>, Outage> {
        let before_charges = self.numbers.len().saturating_sub(CHARGE * self.charges_told()?);
        let last = self.numbers.get(..before_charges).unwrap_or_default().rchunks_exact(CROSSING);
        let told = last.take_while(|items| matches!(items.first(), Some(Value::BulkString(_))));
        let mut crossings = told
            .map(|items| {
                let crossing = Reader::new(items).crossing(self.at)?;
                Ok(Crossing { reset_at: end_of(crossing.kind, calendar), ..crossing })
            })
            .collect::<Result<Vec<_>, Outage>>()?;
        crossings.reverse();
        Ok(crossings)
    }

    fn charges_told(&self) -> Result<usize, Outage> {
        let mut head = Reader::new(&self.numbers);
        head.skip(HEAD - 1);
        usize::try_from(head.number()?).map_err(|_| misread())
    }

    /// What was charged of what was ended by the way, which comes last.
    pub(super) fn charges(&self) -> Result<Vec<SweptCharge>, Outage> {
        let told = CHARGE * self.charges_told()?;
        let mut reader = Reader::new(self.numbers.get(self.numbers.len().saturating_sub(told)..).unwrap_or_default());
        (0..told / CHARGE).map(|_| reader.charge()).collect()
    }

    /// What was ended by the way.
    pub(super) fn swept(&self) -> Result<Swept, Outage> {
        let mut parts = Reader::new(&self.numbers);
        parts.skip(2);
        let (released, unknown) = (parts.number()?, parts.number()?);
        parts.skip(2);
        Ok(Swept { released, refused: parts.number()?, unknown })
    }

    /// Gives every operation its answer.
    pub(super) fn hand_out(
        &self,
        operations: Vec<Operation>,
        context: &Context<'_>,
        seen: &mut Seen,
    ) -> Result<(), Outage> {
        let (swept, mut parts) = (self.swept()?, Reader::new(&self.numbers));
        parts.skip(HEAD);
        let mut levels = Reader::new(&self.numbers);
        levels.skip(HEAD);
        for operation in &operations {
            levels.skip_part(operation)?;
        }
        let mut reading = Reading {
            at: self.at,
            point: self.point,
            context,
            seen,
            parts,
            levels: Levels {
                at: self.at,
                point: self.point,
                calendar: context.calendar,
                places: context.level_places.iter(),
                numbers: levels,
                known: Vec::new(),
                starts: Vec::new(),
            },
            swept,
        };
        for operation in operations {
            reading.answer(operation);
        }
        Ok(())
    }
}

struct Reading<'a> {
    at: Timestamp,
    point: Point,
    context: &'a Context<'a>,
    seen: &'a mut Seen,
    parts: Reader<'a>,
    levels: Levels<'a>,
    swept: Swept,
}

impl Reading<'_> {
    fn answer(&mut self, operation: Operation) {
        // A receiver that is gone needs no answer; a verdict that comes back is dropped, which gives it up.
        let _ = match operation {
            Operation::Admit { admission, reply } => {
                let context = self.context;
                let claim = self
                    .verdict(&admission.levels)
                    .map(|verdict| Claim::new(verdict, context.team.clone(), admission.id, context.given_up));
                if let (Ok(claim), Some(calendar)) = (&claim, context.calendar)
                    && claim.is_admitted()
                {
                    self.seen.admitted(admission, calendar, self.at, self.point);
                }
                match (&context.unacknowledged, claim) {
                    (Some(outage), Ok(claim)) if claim.is_admitted() => reply.send(Err(outage.clone())).is_ok(),
                    (Some(_) | None, claim) => reply.send(claim).is_ok(),
                }
            }
            Operation::Quote { admission, reply } => reply.send(self.verdict(&admission.levels)).is_ok(),
            Operation::Dispatch { id, reply } => {
                self.seen.comes_to(id, Phase::Dispatched, self.point);
                reply.send(self.parts.signed().map(|alive| alive == 1)).is_ok()
            }
            Operation::Recall { id, reply } => {
                self.seen.comes_to(id, Phase::TurnedBack, self.point);
                reply.send(self.parts.signed().map(|alive| alive == 1)).is_ok()
            }
            Operation::Settle { settlement, reply } => {
                let settled = self.parts.settled();
                let id = settlement.id;
                let end = match settled {
                    Ok(Settled::Now(charged)) => Some((settlement, charged)),
                    Ok(Settled::Before) | Err(_) => None,
                };
                self.seen.ended(id, end, self.at, self.point);
                reply.send(settled).is_ok()
            }
            Operation::GiveUp { id, reply } => {
                self.seen.ended(id, None, self.at, self.point);
                reply.send(Ok(())).is_ok()
            }
            Operation::Renew { reply, .. } | Operation::Accept { reply } => reply.send(Ok(())).is_ok(),
            // Of several sweeps in one batch the first tells what they did.
            Operation::Sweep { reply } => reply.send(Ok(std::mem::take(&mut self.swept))).is_ok(),
            Operation::Books { inquiry, reply } => reply.send(self.books(&inquiry)).is_ok(),
            Operation::TopUp { top_up, reply } => {
                let topped_up = self.parts.topped_up();
                if let Ok(ToppedUp::Now(sum) | ToppedUp::Before(sum)) = topped_up {
                    self.seen.topped_up(*top_up, sum, self.point);
                }
                reply.send(topped_up).is_ok()
            }
        };
    }

    fn verdict(&mut self, levels: &[Level]) -> Result<Verdict, Outage> {
        let at = self.at;
        match self.parts.signed()? {
            0 => {
                let binding = usize::try_from(self.parts.number()?).map_err(|_| misread())?;
                let retry_at = self.parts.may_come_again()?;
                let standings = self.levels.standings(levels, Some(&mut self.parts), self.seen)?;
                if binding >= standings.len() {
                    return Err(misread());
                }
                Ok(Verdict::Refused { standings, binding, retry_at, at })
            }
            1 => Ok(Verdict::Admitted { standings: self.levels.standings(levels, None, self.seen)?, at }),
            2 => Ok(Verdict::Admitted {
                standings: self.levels.standings(levels, Some(&mut self.parts), self.seen)?,
                at,
            }),
            _ => {
                self.levels.standings(levels, None, self.seen)?;
                Err(Outage::Refused("this admission was given up before".to_owned()))
            }
        }
    }

    fn books(&mut self, inquiry: &Inquiry) -> Result<Books, Outage> {
        let open = self.parts.number()?;
        let passes = inquiry.reader.is_none() || self.parts.passes()?;
        let retry_at = if passes { None } else { self.parts.may_come_again()? };
        let standings = self.levels.standings(&inquiry.levels, None, self.seen)?;
        let reader = self.levels.standings(inquiry.reader.as_slice(), None, self.seen)?.into_iter().next();
        let refused = reader.filter(|_| !passes).map(|standing| TooOften { standing, retry_at });
        Ok(Books { standings, open, refused, at: self.at })
    }
}

/// How the request's levels stand; each is read when it first comes up, which is the order they are answered in.
struct Levels<'a> {
    at: Timestamp,
    point: Point,
    calendar: Option<&'a Arc<Calendar>>,
    places: slice::Iter<'a, usize>,
    numbers: Reader<'a>,
    /// Each limit of each level known so far.
    known: Vec<Count>,
    starts: Vec<usize>,
}

impl Levels<'_> {
    /// The standings of these levels, whose places come next. `shadows` says which shadow limits were passed.
    fn standings(
        &mut self,
        levels: &[Level],
        mut shadows: Option<&mut Reader<'_>>,
        seen: &mut Seen,
    ) -> Result<Vec<Standing>, Outage> {
        let mut standings = Vec::with_capacity(levels.iter().map(|level| level.limits.iter().len()).sum());
        for level in levels {
            let place = *self.places.next().ok_or_else(misread)?;
            if place == self.starts.len() {
                self.read(level, seen)?;
            }
            let start = *self.starts.get(place).ok_or_else(misread)?;
            for (limit, count) in level.limits.iter().zip(self.known.get(start..).unwrap_or_default()) {
                let shadow_refused = match &mut shadows {
                    Some(shadows) if limit.shadow => shadows.signed()? == 1,
                    Some(_) | None => false,
                };
                standings.push(Standing { shadow_refused, ..self.standing(level, limit, *count) });
            }
        }
        Ok(standings)
    }

    fn read(&mut self, level: &Level, seen: &mut Seen) -> Result<(), Outage> {
        let start = self.known.len();
        self.starts.push(start);
        for limit in level.limits.iter() {
            self.known.push(match limit.kind.shape() {
                Shape::Window(..) => self.numbers.window()?,
                Shape::Bucket(_) | Shape::Slots => Count { first: self.numbers.number()?, ..Count::default() },
            });
        }
        if let Some(calendar) = self.calendar {
            seen.counted(level, calendar, self.known.get(start..).unwrap_or_default(), (self.at, self.point));
        }
        Ok(())
    }

    fn standing(&self, level: &Level, limit: &Limit, count: Count) -> Standing {
        let (max, used, reserved, reset_at) = match limit.kind.shape() {
            Shape::Bucket(period) => {
                let (used, full_at) = bucket(count.first, period, limit.max, self.at);
                (limit.burst, used, 0, full_at)
            }
            Shape::Window(..) => {
                let ends = end_of(limit.kind, self.calendar);
                (raised(limit.max, count.topped_up), count.first, count.reserved, ends)
            }
            Shape::Slots => (limit.max, 0, count.first, None),
        };
        let (scope, kind, topped_up) = (level.scope.clone(), limit.kind, count.topped_up);
        Standing { scope, kind, max, topped_up, used, reserved, reset_at, shadow: limit.shadow, shadow_refused: false }
    }
}

/// When the window of a kind of limit ends.
fn end_of(kind: LimitKind, calendar: Option<&Arc<Calendar>>) -> Option<Timestamp> {
    match kind.shape() {
        Shape::Window(Period::Day, _) => calendar.map(|calendar| calendar.day.end),
        Shape::Window(Period::Month, _) => calendar.map(|calendar| calendar.month.end),
        Shape::Window(Period::Total, _) | Shape::Bucket(_) | Shape::Slots => None,
    }
}

/// From a bucket's level: the tokens taken and not yet back, and when it is full again; never, when it does not refill.
fn bucket(filled: u64, period: Duration, max: u64, at: Timestamp) -> (u64, Option<Timestamp>) {
    let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).max(1);
    let micros = match (filled, max) {
        (0, _) => Some(0),
        (_, 0) => None,
        (filled, max) => Some(filled.div_ceil(max)),
    };
    let full_at = micros.map(|micros| {
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        Timestamp::from_microsecond(at.as_microsecond().saturating_add(micros)).unwrap_or(Timestamp::MAX)
    });
    (filled.div_ceil(period), full_at)
}

impl Reader<'_> {
    /// Passes over one operation's part.
    fn skip_part(&mut self, operation: &Operation) -> Result<(), Outage> {
        match operation {
            Operation::Admit { admission, .. } | Operation::Quote { admission, .. } => {
                let limits = admission.levels.iter().flat_map(|level| level.limits.iter());
                match self.signed()? {
                    0 => self.skip(2 + limits.filter(|limit| limit.shadow).count()),
                    2 => self.skip(limits.filter(|limit| limit.shadow).count()),
                    _ => {}
                }
            }
            Operation::Dispatch { .. } | Operation::Recall { .. } | Operation::Settle { .. } => self.skip(1),
            Operation::Books { inquiry, .. } => self.skip(1 + inquiry.reader.as_slice().len()),
            Operation::TopUp { .. } => self.skip(2),
            Operation::Renew { .. } | Operation::Sweep { .. } | Operation::Accept { .. } | Operation::GiveUp { .. } => {
            }
        }
        Ok(())
    }
}
