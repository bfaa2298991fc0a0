//! Reads the script's answer and hands each operation its part.
//!
//! The answer is 1 (0: the day was guessed wrong, nothing was done), the store's time, what was released and what became
//! unknown by the way; then each operation's part; then, of each limit of each level, how it stands after the whole
//! batch. So an admission's standings also tell what others did in the same step.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use redis::Value;

use super::given_up::GivenUp;
use super::operation::{Claim, Operation};
use crate::credits::Credits;
use crate::ledger::calendar::Calendar;
use crate::ledger::{Books, Inquiry, Level, Outage, Settled, Standing, Swept, TooOften, Verdict};
use crate::team::limit::{Period, Shape};
use crate::team::{Limit, TeamId};

/// How many numbers come before the operations' parts.
const HEAD: usize = 4;

/// The script's answer to a batch.
pub(super) struct Answer {
    numbers: Vec<Value>,
    /// The day was another than the request said: nothing was done.
    pub(super) stale: bool,
    /// The store's time.
    pub(super) at: Timestamp,
}

/// What is needed to read an answer.
pub(super) struct Context<'a> {
    pub(super) team: &'a TeamId,
    pub(super) calendar: Option<&'a Calendar>,
    /// As in the request.
    pub(super) level_places: &'a [usize],
    pub(super) given_up: &'a Arc<GivenUp>,
    /// Set when too few replicas have what was admitted: no admission stands.
    pub(super) unacknowledged: Option<Outage>,
}

impl Answer {
    pub(super) fn read(value: Value) -> Result<Self, Outage> {
        let Value::Array(numbers) = value else { return Err(misread()) };
        let mut reader = Reader(numbers.iter());
        let stale = reader.signed()? == 0;
        let at = reader.moment()?;
        Ok(Self { numbers, stale, at })
    }

    /// Gives every operation its answer. Returns what was ended by the way.
    pub(super) fn hand_out(&self, operations: Vec<Operation>, context: &Context<'_>) -> Result<Swept, Outage> {
        let mut parts = Reader(self.numbers.iter());
        parts.skip(2);
        let swept = Swept { released: parts.number()?, unknown: parts.number()? };
        let mut levels = Reader(self.numbers.iter());
        levels.skip(HEAD);
        for operation in &operations {
            levels.skip_part(operation)?;
        }
        let mut reading = Reading {
            at: self.at,
            context,
            parts,
            levels: Levels {
                at: self.at,
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
        Ok(swept)
    }
}

struct Reading<'a> {
    at: Timestamp,
    context: &'a Context<'a>,
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
                match (&context.unacknowledged, claim) {
                    (Some(outage), Ok(claim)) if claim.is_admitted() => reply.send(Err(outage.clone())).is_ok(),
                    (Some(_) | None, claim) => reply.send(claim).is_ok(),
                }
            }
            Operation::Quote { admission, reply } => reply.send(self.verdict(&admission.levels)).is_ok(),
            Operation::Dispatch { reply, .. } | Operation::Recall { reply, .. } => {
                reply.send(self.parts.signed().map(|alive| alive == 1)).is_ok()
            }
            Operation::Settle { reply, .. } => reply.send(self.parts.settled()).is_ok(),
            Operation::Renew { reply, .. } | Operation::GiveUp { reply, .. } => reply.send(Ok(())).is_ok(),
            // Of several sweeps in one batch the first tells what they did.
            Operation::Sweep { reply } => reply.send(Ok(std::mem::take(&mut self.swept))).is_ok(),
            Operation::Books { inquiry, reply } => reply.send(self.books(&inquiry)).is_ok(),
        };
    }

    fn verdict(&mut self, levels: &[Level]) -> Result<Verdict, Outage> {
        let at = self.at;
        match self.parts.signed()? {
            0 => {
                let binding = usize::try_from(self.parts.number()?).map_err(|_| misread())?;
                let retry_at = self.parts.may_come_again()?;
                let standings = self.levels.standings(levels, Some(&mut self.parts))?;
                if binding >= standings.len() {
                    return Err(misread());
                }
                Ok(Verdict::Refused { standings, binding, retry_at, at })
            }
            1 => Ok(Verdict::Admitted { standings: self.levels.standings(levels, None)?, at }),
            2 => Ok(Verdict::Admitted { standings: self.levels.standings(levels, Some(&mut self.parts))?, at }),
            _ => {
                self.levels.standings(levels, None)?;
                Err(Outage::Refused("this admission was given up before".to_owned()))
            }
        }
    }

    fn books(&mut self, inquiry: &Inquiry) -> Result<Books, Outage> {
        let open = self.parts.number()?;
        let passes = inquiry.reader.is_none() || self.parts.passes()?;
        let retry_at = if passes { None } else { self.parts.may_come_again()? };
        let standings = self.levels.standings(&inquiry.levels, None)?;
        let reader = self.levels.standings(inquiry.reader.as_slice(), None)?.into_iter().next();
        let refused = reader.filter(|_| !passes).map(|standing| TooOften { standing, retry_at });
        Ok(Books { standings, open, refused, at: self.at })
    }
}

/// How the request's levels stand; each is read when it first comes up, which is the order they are answered in.
struct Levels<'a> {
    at: Timestamp,
    calendar: Option<&'a Calendar>,
    places: slice::Iter<'a, usize>,
    numbers: Reader<'a>,
    /// Two numbers of each limit of each level known so far: spent and reserved; or a bucket's level; or slots in use.
    known: Vec<(u64, u64)>,
    starts: Vec<usize>,
}

impl Levels<'_> {
    /// The standings of these levels, whose places come next. `shadows` says which shadow limits were passed.
    fn standings(&mut self, levels: &[Level], mut shadows: Option<&mut Reader<'_>>) -> Result<Vec<Standing>, Outage> {
        let mut standings = Vec::with_capacity(levels.iter().map(|level| level.limits.iter().len()).sum());
        for level in levels {
            let place = *self.places.next().ok_or_else(misread)?;
            if place == self.starts.len() {
                self.read(level)?;
            }
            let start = *self.starts.get(place).ok_or_else(misread)?;
            for (limit, numbers) in level.limits.iter().zip(self.known.get(start..).unwrap_or_default()) {
                let shadow_refused = match &mut shadows {
                    Some(shadows) if limit.shadow => shadows.signed()? == 1,
                    Some(_) | None => false,
                };
                standings.push(Standing { shadow_refused, ..self.standing(level, limit, *numbers) });
            }
        }
        Ok(standings)
    }

    fn read(&mut self, level: &Level) -> Result<(), Outage> {
        self.starts.push(self.known.len());
        for limit in level.limits.iter() {
            let first = self.numbers.number()?;
            let second = match limit.kind.shape() {
                Shape::Window(..) => self.numbers.number()?,
                Shape::Bucket(_) | Shape::Slots => 0,
            };
            self.known.push((first, second));
        }
        Ok(())
    }

    fn standing(&self, level: &Level, limit: &Limit, numbers: (u64, u64)) -> Standing {
        let (max, used, reserved, reset_at) = match limit.kind.shape() {
            Shape::Bucket(period) => {
                let (used, full_at) = bucket(numbers.0, period, limit.max, self.at);
                (limit.burst, used, 0, full_at)
            }
            Shape::Window(period, _) => {
                let ends = match period {
                    Period::Day => self.calendar.map(|calendar| calendar.day.end),
                    Period::Month => self.calendar.map(|calendar| calendar.month.end),
                    Period::Total => None,
                };
                (limit.max, numbers.0, numbers.1, ends)
            }
            Shape::Slots => (limit.max, 0, numbers.0, None),
        };
        Standing { scope: level.scope.clone(), kind: limit.kind, max, used, reserved, reset_at, shadow_refused: false }
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

struct Reader<'a>(slice::Iter<'a, Value>);

impl Reader<'_> {
    fn signed(&mut self) -> Result<i64, Outage> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(*number),
            _ => Err(misread()),
        }
    }

    fn number(&mut self) -> Result<u64, Outage> {
        u64::try_from(self.signed()?).map_err(|_| misread())
    }

    fn moment(&mut self) -> Result<Timestamp, Outage> {
        Timestamp::from_microsecond(self.signed()?).map_err(|_| misread())
    }

    /// When a call, or a reading, would pass; `None` when no time helps.
    fn may_come_again(&mut self) -> Result<Option<Timestamp>, Outage> {
        Ok(match self.signed()? {
            -1 => None,
            micros => Some(Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)),
        })
    }

    /// Whether the next number is 0, which is then passed over.
    fn passes(&mut self) -> Result<bool, Outage> {
        let passes = matches!(self.0.as_slice().first(), Some(Value::Int(0)));
        if passes {
            self.signed()?;
        }
        Ok(passes)
    }

    fn settled(&mut self) -> Result<Settled, Outage> {
        Ok(u64::try_from(self.signed()?).map_or(Settled::Before, |charged| Settled::Now(Credits::from_micros(charged))))
    }

    fn skip(&mut self, count: usize) {
        self.0.by_ref().take(count).for_each(drop);
    }

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
            Operation::Renew { .. } | Operation::Sweep { .. } | Operation::GiveUp { .. } => {}
        }
        Ok(())
    }
}

fn misread() -> Outage {
    Outage::Refused("an answer that cannot be read".to_owned())
}
