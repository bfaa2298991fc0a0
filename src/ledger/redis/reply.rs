//! Reads the script's answer and hands each operation its part.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use redis::Value;

use super::given_up::GivenUp;
use super::operation::{Claim, Operation};
use crate::credits::Credits;
use crate::ledger::calendar::Calendar;
use crate::ledger::{Admission, Books, Level, Outage, Settled, Standing, Swept, Verdict};
use crate::team::limit::{Period, Shape};
use crate::team::{Limit, TeamId};

/// The script's answer to a batch.
pub(super) struct Answer {
    numbers: Vec<Value>,
    /// The day was another than the request said: nothing was done.
    pub(super) stale: bool,
    /// The store's time.
    pub(super) at: Timestamp,
}

/// What operations need to know to read their part.
pub(super) struct Context<'a> {
    pub(super) team: &'a TeamId,
    pub(super) calendar: Option<&'a Calendar>,
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

    /// Gives every operation its answer. Returns what was swept.
    pub(super) fn hand_out(&self, operations: Vec<Operation>, context: &Context<'_>) -> Result<Swept, Outage> {
        let mut reader = Reader(self.numbers.iter());
        reader.0.nth(1);
        let swept = Swept { released: reader.number()?, unknown: reader.number()? };
        let mut unreported = swept;
        for operation in operations {
            self.answer(operation, &mut reader, context, &mut unreported);
        }
        Ok(swept)
    }

    fn answer(&self, operation: Operation, reader: &mut Reader<'_>, context: &Context<'_>, swept: &mut Swept) {
        // A receiver that is gone needs no answer; a verdict that comes back is dropped, which gives it up.
        let _ = match operation {
            Operation::Admit { admission, reply } => {
                let verdict = self.verdict(&admission, reader, context);
                let claim =
                    verdict.map(|verdict| Claim::new(verdict, context.team.clone(), admission.id, context.given_up));
                match (&context.unacknowledged, claim) {
                    (Some(outage), Ok(claim)) if claim.is_admitted() => reply.send(Err(outage.clone())).is_ok(),
                    (Some(_) | None, claim) => reply.send(claim).is_ok(),
                }
            }
            Operation::Dispatch { reply, .. } => reply.send(reader.signed().map(|alive| alive == 1)).is_ok(),
            Operation::Settle { reply, .. } => reply.send(reader.settled()).is_ok(),
            Operation::Renew { reply, .. } => reply.send(Ok(())).is_ok(),
            // Of several sweeps in one batch the first tells what they did.
            Operation::Sweep { reply } => reply.send(Ok(std::mem::take(swept))).is_ok(),
            Operation::Books { inquiry, reply } => {
                reply.send(self.books(&inquiry.levels, reader, context.calendar)).is_ok()
            }
            Operation::GiveUp { reply, .. } => reply.send(Ok(())).is_ok(),
        };
    }

    fn verdict(
        &self,
        admission: &Admission,
        reader: &mut Reader<'_>,
        context: &Context<'_>,
    ) -> Result<Verdict, Outage> {
        let at = self.at;
        match reader.signed()? {
            1 => {
                let standings = self.standings(&admission.levels, reader, context.calendar)?;
                Ok(Verdict::Admitted { standings, at })
            }
            0 => {
                let binding = usize::try_from(reader.number()?).map_err(|_| misread())?;
                let retry_at = match reader.signed()? {
                    -1 => None,
                    micros => Some(Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)),
                };
                let standings = self.standings(&admission.levels, reader, context.calendar)?;
                if binding >= standings.len() {
                    return Err(misread());
                }
                Ok(Verdict::Refused { standings, binding, retry_at, at })
            }
            _ => Err(Outage::Refused("this admission was given up before".to_owned())),
        }
    }

    fn books(&self, levels: &[Level], reader: &mut Reader<'_>, calendar: Option<&Calendar>) -> Result<Books, Outage> {
        let open = reader.number()?;
        Ok(Books { standings: self.standings(levels, reader, calendar)?, open, at: self.at })
    }

    fn standings(
        &self,
        levels: &[Level],
        reader: &mut Reader<'_>,
        calendar: Option<&Calendar>,
    ) -> Result<Vec<Standing>, Outage> {
        let mut standings = Vec::with_capacity(levels.iter().map(|level| level.limits.iter().len()).sum());
        for level in levels {
            for limit in level.limits.iter() {
                standings.push(self.standing(level, limit, reader, calendar)?);
            }
        }
        Ok(standings)
    }

    fn standing(
        &self,
        level: &Level,
        limit: &Limit,
        reader: &mut Reader<'_>,
        calendar: Option<&Calendar>,
    ) -> Result<Standing, Outage> {
        let (max, used, reserved, reset_at) = match limit.kind.shape() {
            Shape::Bucket(period) => {
                let filled = reader.number()?;
                let (used, full_at) = bucket(filled, period, limit.max, self.at);
                (limit.burst, used, 0, full_at)
            }
            Shape::Window(period, _) => {
                let ends = match period {
                    Period::Day => calendar.map(|calendar| calendar.day.end),
                    Period::Month => calendar.map(|calendar| calendar.month.end),
                    Period::Total => None,
                };
                (limit.max, reader.number()?, reader.number()?, ends)
            }
            Shape::Slots => (limit.max, 0, reader.number()?, None),
        };
        let shadow_refused = limit.shadow && reader.signed()? == 1;
        Ok(Standing { scope: level.scope.clone(), kind: limit.kind, max, used, reserved, reset_at, shadow_refused })
    }
}

/// From a bucket's level: the tokens taken and not yet back, and when it is full again; never, when it does not refill.
fn bucket(filled: u64, period: Duration, max: u64, at: Timestamp) -> (u64, Option<Timestamp>) {
    let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).max(1);
    let takes = if filled == 0 {
        Some(0)
    } else {
        filled.checked_add(max.saturating_sub(1)).and_then(|sum| sum.checked_div(max))
    };
    let full_at = takes.map(|micros| {
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

    fn settled(&mut self) -> Result<Settled, Outage> {
        Ok(u64::try_from(self.signed()?).map_or(Settled::Before, |charged| Settled::Now(Credits::from_micros(charged))))
    }
}

fn misread() -> Outage {
    Outage::Refused("an answer that cannot be read".to_owned())
}
