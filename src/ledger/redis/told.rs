//! What the script says to a batch, number by number.
//!
//! The answer begins with 1 (0: the day was guessed wrong; 2: the store lacks what the caller has seen; 3: it has nothing
//! of the team, or nothing that was looked for is lost; in each of these nothing was done) and the store's time. After a 1
//! come what was released and what became unknown by the way, the epoch and the number of the last change, what was refused
//! by the way, and of how many models something was charged by the way; the rest is read by `reply`.

use std::slice;

use jiff::Timestamp;
use redis::Value;

use super::keys::scope_named;
use super::loss::{Loss, Point};
use super::request::kind_numbered;
use crate::credits::Credits;
use crate::ledger::{Crossing, Outage, Settled, SweptCharge, ToppedUp};
use crate::team::Share;

/// What the script says to a batch.
pub(super) enum Told {
    /// It was done.
    Done(Answer),
    /// The day is another than the request said, at this time of the store.
    OtherDay(Timestamp),
    /// The store lacks what the caller has seen, or was rebuilt without it.
    Lacking(Loss),
    /// The store has nothing of the team.
    NothingHere,
}

/// The script's answer to a batch that was done.
pub(super) struct Answer {
    pub(super) numbers: Vec<Value>,
    /// The store's time.
    pub(super) at: Timestamp,
    /// Where the team's history stands now.
    pub(super) point: Point,
}

impl Told {
    pub(super) fn read(value: Value) -> Result<Self, Outage> {
        let Value::Array(numbers) = value else { return Err(misread()) };
        let mut reader = Reader::new(&numbers);
        match reader.signed()? {
            0 => reader.moment().map(Self::OtherDay),
            1 => {
                let at = reader.moment()?;
                reader.skip(2);
                let point = reader.point()?;
                Ok(Self::Done(Answer { numbers, at, point }))
            }
            2 => {
                reader.skip(1);
                let (now, closed) = (reader.point()?, reader.signed()? == 1);
                let (origin, kept, records_from) = (reader.number()?, reader.point()?, reader.number()?);
                Ok(Self::Lacking(Loss { now, closed, origin, kept, records_from }))
            }
            _ => Ok(Self::NothingHere),
        }
    }
}

/// What the script tells of one limit.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    /// A window: what was spent. A bucket: its level. Slots: how many are in use.
    pub(super) first: u64,
    /// A window: what is reserved.
    pub(super) reserved: u64,
    /// The window of all time: what was topped up.
    pub(super) topped_up: u64,
}

/// Reads the answer's numbers one after another.
pub(super) struct Reader<'a>(slice::Iter<'a, Value>);

impl<'a> Reader<'a> {
    pub(super) fn new(numbers: &'a [Value]) -> Self {
        Self(numbers.iter())
    }

    pub(super) fn signed(&mut self) -> Result<i64, Outage> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(*number),
            _ => Err(misread()),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, Outage> {
        u64::try_from(self.signed()?).map_err(|_| misread())
    }

    /// What is told of a window: two numbers, or three, of which the first is then less than nothing.
    pub(super) fn window(&mut self) -> Result<Count, Outage> {
        let (first, reserved) = (self.signed()?, self.number()?);
        match u64::try_from(first) {
            Ok(first) => Ok(Count { first, reserved, topped_up: 0 }),
            Err(_) => Ok(Count { first: first.unsigned_abs() - 1, reserved, topped_up: self.number()? }),
        }
    }

    pub(super) fn topped_up(&mut self) -> Result<ToppedUp, Outage> {
        let (result, sum) = (self.signed()?, Credits::from_micros(self.number()?));
        match result {
            0 => Ok(ToppedUp::Taken),
            1 => Ok(ToppedUp::Now(sum)),
            2 => Ok(ToppedUp::Before(sum)),
            3 => Ok(ToppedUp::TooMuch),
            _ => Err(misread()),
        }
    }

    /// A budget that came to its soft threshold; when its window ends is not told.
    pub(super) fn crossing(&mut self, at: Timestamp) -> Result<Crossing, Outage> {
        let Some(Value::BulkString(name)) = self.0.next() else { return Err(misread()) };
        let scope = str::from_utf8(name).ok().and_then(scope_named).ok_or_else(misread)?;
        let (kind, soft) = (kind_numbered(self.number()?).ok_or_else(misread)?, self.number()?);
        let soft = Share::from_millionths(soft).ok_or_else(misread)?;
        let [max, used, reserved] = [self.number()?, self.number()?, self.number()?].map(Credits::from_micros);
        Ok(Crossing { scope, kind, soft, max, used, reserved, reset_at: None, at })
    }

    /// What calls of a model were charged that had been left behind.
    pub(super) fn charge(&mut self) -> Result<SweptCharge, Outage> {
        let Some(Value::BulkString(model)) = self.0.next() else { return Err(misread()) };
        let model = String::from_utf8(model.clone()).map_err(|_| misread())?;
        Ok(SweptCharge { model, credits: Credits::from_micros(self.number()?) })
    }

    pub(super) fn point(&mut self) -> Result<Point, Outage> {
        Ok(Point { epoch: self.number()?, seq: self.number()? })
    }

    pub(super) fn moment(&mut self) -> Result<Timestamp, Outage> {
        Timestamp::from_microsecond(self.signed()?).map_err(|_| misread())
    }

    /// When a call, or a reading, would pass; `None` when no time helps.
    pub(super) fn may_come_again(&mut self) -> Result<Option<Timestamp>, Outage> {
        Ok(match self.signed()? {
            -1 => None,
            micros => Some(Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)),
        })
    }

    /// Whether the next number is 0, which is then passed over.
    pub(super) fn passes(&mut self) -> Result<bool, Outage> {
        let passes = matches!(self.0.as_slice().first(), Some(Value::Int(0)));
        if passes {
            self.signed()?;
        }
        Ok(passes)
    }

    pub(super) fn settled(&mut self) -> Result<Settled, Outage> {
        Ok(u64::try_from(self.signed()?).map_or(Settled::Before, |charged| Settled::Now(Credits::from_micros(charged))))
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.0.by_ref().take(count).for_each(drop);
    }
}

/// The answer is not one of the script's.
pub(super) fn misread() -> Outage {
    Outage::Refused("an answer that cannot be read".to_owned())
}
