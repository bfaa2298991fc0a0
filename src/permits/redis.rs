//! Permits of the shared account in Redis: one script call a batch, in a hash slot of its own, by
//! the server's clock.
//!
//! Array that the script reads: time to use as the store's (0: the server's own); lifetime of a
//! queue position, and how long a permit can be given back (µs); first moment of the month and of
//! the next; most calls in the queue, and of one team; limits of the account's minute, day and
//! month (0: none); number of keys, and for each its name and the limits of its windows; number of
//! operations, and for each its code and its arguments. Operations name keys by their number,
//! counted from 1.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::message_pack::Packed;
use super::{
    AccountLimits, Allowance, BatchResult, GIVE_BACK_WITHIN, KeyName, Operation, POSITION_TTL,
    Permits, QueuePosition, Remaining, Span,
};
use crate::calendar::Calendar;
use crate::clock::Clock;
use crate::store::answer::{read, unreadable};
use crate::store::observe::observed;
use crate::store::{
    Client, Cmd, FromRedisValue, Observer, Outage, Script, Settings, UnusableSettings, Value,
    run_script,
};

/// The script. Its two parts are one program, split for the reader.
const TEXT: &str = concat!(include_str!("windows.lua"), include_str!("queue.lua"));
/// Most tries of a batch: the month may be guessed wrong, and end meanwhile.
const ATTEMPTS: usize = 3;

/// Codes of the operations, as in the script.
mod op {
    pub(super) const ASK: u64 = 1;
    pub(super) const WAIT: u64 = 2;
    pub(super) const LEAVE: u64 = 3;
    pub(super) const REPORT: u64 = 4;
}

/// Keys of the shared account's windows and queue. No team's name can contain `!`.
struct PermitKeys {
    /// Hash: the windows.
    windows: String,
    /// Sorted set: the queue, by virtual finish.
    queue: String,
    /// Hash: waiting calls and permits.
    entries: String,
    /// Sorted set: waiting calls and permits, by deadline.
    deadlines: String,
    /// Hash: teams in the queue.
    teams: String,
}

impl PermitKeys {
    fn new() -> Self {
        let key = |what: &str| format!("mg1:{{!shared}}:{what}");
        Self {
            windows: key("windows"),
            queue: key("line"),
            entries: key("places"),
            deadlines: key("deadlines"),
            teams: key("teams"),
        }
    }
}

/// Permits of the shared account in Redis. As with the ledger, each worker thread has its own, and
/// nothing is sent before the first batch.
pub struct RedisPermits {
    client: Client,
    observer: Arc<dyn Observer>,
    script: Script,
    keys: PermitKeys,
}

impl RedisPermits {
    /// Connects on first use.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn new(
        settings: Settings,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, UnusableSettings> {
        let client = Client::new(settings, clock, Arc::clone(&observer))?;
        Ok(Self { client, observer, script: Script::new(TEXT), keys: PermitKeys::new() })
    }

    async fn send(
        &self,
        limits: &AccountLimits,
        operations: &[Operation],
    ) -> Result<BatchResult, Outage> {
        for _ in 0..ATTEMPTS {
            let month = Calendar::around(self.client.store_now(), &TimeZone::UTC).month;
            let request =
                written(limits, operations, self.client.fixed_now(), (month.start, month.end));
            let mut answer = Reader::of(self.call(&request).await?)?;
            let month_is_right = answer.signed()? == 1;
            let at = answer.moment()?;
            self.client.learn(at.as_microsecond());
            if month_is_right {
                return answer.batch(limits, operations, at);
            }
        }
        Err(Outage::Refused("the month changes with every answer".to_owned()))
    }

    async fn call(&self, request: &[u8]) -> Result<Value, Outage> {
        self.client
            .on_link(None, &self.keys.windows, |mut link| async move {
                let call = |command: &str, script: &str| self.command(command, script, request);
                run_script(&mut link, (&self.script, TEXT), call, None)
                    .await
                    .map(|(value, _)| value)
            })
            .await
    }

    fn command(&self, command: &str, script: &str, request: &[u8]) -> Cmd {
        let PermitKeys { windows, queue, entries, deadlines, teams } = &self.keys;
        let mut call = Cmd::with_capacity(9, script.len() + request.len() + 256);
        call.arg(command)
            .arg(script)
            .arg(5)
            .arg(windows)
            .arg(queue)
            .arg(entries)
            .arg(deadlines)
            .arg(teams)
            .arg(request);
        call
    }
}

impl Permits for RedisPermits {
    fn batch<'a>(
        &'a self,
        limits: &'a AccountLimits,
        operations: &'a [Operation],
    ) -> BoxFuture<'a, Result<BatchResult, Outage>> {
        observed(&*self.observer, "permits", self.send(limits, operations))
    }
}

fn written(
    limits: &AccountLimits,
    operations: &[Operation],
    now: Option<u64>,
    month: (Timestamp, Timestamp),
) -> Vec<u8> {
    let mut packed = Packed::new();
    packed.number(now.unwrap_or(0));
    packed.number(micros(POSITION_TTL));
    packed.number(micros(GIVE_BACK_WITHIN));
    packed.number(moment(month.0));
    packed.number(moment(month.1));
    packed.number(limits.length_max);
    packed.number(limits.team_length_max);
    write_allowance(&mut packed, &limits.account);
    packed.count(limits.keys.len());
    for (name, allowance) in &limits.keys {
        packed.text(name);
        write_allowance(&mut packed, allowance);
    }
    packed.count(operations.len());
    for operation in operations {
        write_operation(&mut packed, limits, operation);
    }
    packed.finish()
}

fn write_allowance(packed: &mut Packed, allowance: &Allowance) {
    for span in Span::ALL {
        packed.number(allowance.of(span).unwrap_or(0));
    }
}

fn write_operation(packed: &mut Packed, limits: &AccountLimits, operation: &Operation) {
    let number_of = |name: &KeyName| {
        limits.keys.iter().position(|(known, _)| known == name).map(|index| index + 1)
    };
    match operation {
        Operation::Ask(ask) => {
            packed.number(op::ASK);
            packed.text(&ask.id.to_string());
            packed.text(ask.team.as_str());
            packed.number(u64::from(ask.weight.max(1)));
            packed.number(u64::from(ask.turned_back));
            let keys: Vec<usize> = ask.keys.iter().filter_map(number_of).collect();
            packed.count(keys.len());
            keys.into_iter().for_each(|key| packed.count(key));
        }
        Operation::Wait(id) => {
            packed.number(op::WAIT);
            packed.text(&id.to_string());
        }
        Operation::Leave(id) => {
            packed.number(op::LEAVE);
            packed.text(&id.to_string());
        }
        Operation::Report(report) => {
            // A reload has removed the key: nothing is known of it here.
            let Some(key) = number_of(&report.key) else {
                packed.number(op::LEAVE);
                return packed.text("");
            };
            packed.number(op::REPORT);
            packed.count(key);
            packed.number(report.remaining.min(COUNT_MAX));
            packed.number(moment(report.reset_at));
        }
    }
}

/// Upper bound for reported counts: larger doubles are not exact.
const COUNT_MAX: u64 = 1 << 50;

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn moment(timestamp: Timestamp) -> u64 {
    u64::try_from(timestamp.as_microsecond()).unwrap_or(0)
}

/// Name of an answer in errors.
const PERMITS: &str = "an answer about permits";

/// The script's answer, read from front to back.
struct Reader(std::vec::IntoIter<Value>);

impl Reader {
    fn of(value: Value) -> Result<Self, Outage> {
        read::<Vec<Value>>(value, PERMITS).map(|values| Self(values.into_iter()))
    }

    fn batch(
        mut self,
        limits: &AccountLimits,
        operations: &[Operation],
        at: Timestamp,
    ) -> Result<BatchResult, Outage> {
        let mut remaining = Vec::new();
        let keys = limits.keys.iter().map(|(name, _)| Some(name));
        for key in std::iter::once(None).chain(keys) {
            for span in Span::ALL {
                if let Ok(calls) = u64::try_from(self.signed()?) {
                    remaining.push(Remaining { key: key.cloned(), span, calls });
                }
            }
        }
        let mut positions = Vec::new();
        for operation in operations {
            match operation {
                Operation::Ask(_) | Operation::Wait(_) => positions.push(self.position()?),
                Operation::Leave(_) | Operation::Report(_) => {}
            }
        }
        Ok(BatchResult { positions, remaining, at })
    }

    fn position(&mut self) -> Result<QueuePosition, Outage> {
        match self.signed()? {
            1 => Ok(QueuePosition::Granted {
                key: self.next::<String>()?.into(),
                left: u64::try_from(self.signed()?).ok(),
            }),
            2 => Ok(QueuePosition::Waiting {
                ahead: u64::try_from(self.signed()?).map_err(|_| misread())?,
                opens_at: self.moment()?,
            }),
            3 => Ok(QueuePosition::Full),
            4 => Ok(QueuePosition::Gone),
            _ => Err(misread()),
        }
    }

    fn next<T: FromRedisValue>(&mut self) -> Result<T, Outage> {
        read(self.0.next().ok_or_else(misread)?, PERMITS)
    }

    fn signed(&mut self) -> Result<i64, Outage> {
        self.next()
    }

    fn moment(&mut self) -> Result<Timestamp, Outage> {
        Timestamp::from_microsecond(self.signed()?).map_err(|_| misread())
    }
}

fn misread() -> Outage {
    unreadable(PERMITS)
}
