//! Permits of the shared account in Redis: one script call a round, in a hash slot of its own, on the server's clock.
//!
//! The array that the script reads is: the time to take for the store's (0: the server's own), how long a place lives
//! and how long a permit can be given back (µs), the month's first moment and the first after it, the most places of
//! the line and of one team in it, what the account's minute, day and month allow (0: no limit); the number of keys,
//! and of each its name and what its windows allow; the number of words, and of each its number and what belongs to it.
//! Words name keys by their places, counted from 1.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::message_pack::Packed;
use super::{
    AccountLimits, Allowance, BatchResult, GIVE_BACK_WITHIN, KeyName, Operation, PLACE_TTL, Permits, QueuePosition,
    Remaining, Span,
};
use crate::calendar::Calendar;
use crate::clock::Clock;
use crate::store::answer::{read, unreadable};
use crate::store::observe::observed;
use crate::store::{
    Client, Cmd, FromRedisValue, Observer, Outage, Script, Settings, UnusableSettings, Value, run_script,
};

/// The script: the parts are one text, so that each can be read on its own.
const TEXT: &str = concat!(include_str!("windows.lua"), include_str!("line.lua"));
/// How often a round is sent at most: the month may be guessed wrong, and end meanwhile.
const ATTEMPTS: usize = 3;

/// The words' numbers, as in the script.
mod op {
    pub(super) const ASK: u64 = 1;
    pub(super) const WAIT: u64 = 2;
    pub(super) const LEAVE: u64 = 3;
    pub(super) const TOLD: u64 = 4;
}

/// The keys of the shared account's windows and of the line before them. No team's name has the `!`.
struct PermitKeys {
    /// Hash: the windows.
    windows: String,
    /// Sorted set: the line, by virtual finish.
    line: String,
    /// Hash: what is known of a place, or of the permit it became.
    places: String,
    /// Sorted set: both, by deadline.
    deadlines: String,
    /// Hash: the teams in the line.
    teams: String,
}

impl PermitKeys {
    fn new() -> Self {
        let key = |what: &str| format!("mg1:{{!shared}}:{what}");
        Self {
            windows: key("windows"),
            line: key("line"),
            places: key("places"),
            deadlines: key("deadlines"),
            teams: key("teams"),
        }
    }
}

/// The shared account's windows in Redis. As with the ledger, each worker thread makes a handle of its own,
/// and nothing is sent before the first round.
pub struct RedisPermits {
    client: Client,
    observer: Arc<dyn Observer>,
    script: Script,
    keys: PermitKeys,
}

impl RedisPermits {
    /// A handle.
    ///
    /// # Errors
    /// When the settings cannot be meant.
    pub fn new(settings: Settings, clock: Clock, observer: Arc<dyn Observer>) -> Result<Self, UnusableSettings> {
        let client = Client::new(settings, clock, Arc::clone(&observer))?;
        Ok(Self { client, observer, script: Script::new(TEXT), keys: PermitKeys::new() })
    }

    async fn send(&self, limits: &AccountLimits, words: &[Operation]) -> Result<BatchResult, Outage> {
        for _ in 0..ATTEMPTS {
            let month = Calendar::around(self.client.store_now(), &TimeZone::UTC).month;
            let request = written(limits, words, self.client.fixed_now(), (month.start, month.end));
            let mut answer = Reader::of(self.call(&request).await?)?;
            let stands = answer.signed()? == 1;
            let at = answer.moment()?;
            self.client.learn(at.as_microsecond());
            if stands {
                return answer.round(limits, words, at);
            }
        }
        Err(Outage::Refused("the month changes with every answer".to_owned()))
    }

    async fn call(&self, request: &[u8]) -> Result<Value, Outage> {
        self.client
            .on_link(None, &self.keys.windows, |mut link| async move {
                let call = |command: &str, script: &str| self.command(command, script, request);
                run_script(&mut link, (&self.script, TEXT), call, None).await.map(|(value, _)| value)
            })
            .await
    }

    fn command(&self, command: &str, script: &str, request: &[u8]) -> Cmd {
        let PermitKeys { windows, line, places, deadlines, teams } = &self.keys;
        let mut call = Cmd::with_capacity(9, script.len() + request.len() + 256);
        call.arg(command).arg(script).arg(5).arg(windows).arg(line).arg(places).arg(deadlines).arg(teams).arg(request);
        call
    }
}

impl Permits for RedisPermits {
    fn batch<'a>(
        &'a self,
        limits: &'a AccountLimits,
        words: &'a [Operation],
    ) -> BoxFuture<'a, Result<BatchResult, Outage>> {
        observed(&*self.observer, "permits", self.send(limits, words))
    }
}

fn written(limits: &AccountLimits, words: &[Operation], now: Option<u64>, month: (Timestamp, Timestamp)) -> Vec<u8> {
    let mut packed = Packed::new();
    packed.number(now.unwrap_or(0));
    packed.number(micros(PLACE_TTL));
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
    packed.count(words.len());
    for word in words {
        write_word(&mut packed, limits, word);
    }
    packed.finish()
}

fn write_allowance(packed: &mut Packed, allowance: &Allowance) {
    for span in Span::ALL {
        packed.number(allowance.of(span).unwrap_or(0));
    }
}

fn write_word(packed: &mut Packed, limits: &AccountLimits, word: &Operation) {
    let place = |name: &KeyName| limits.keys.iter().position(|(known, _)| known == name).map(|place| place + 1);
    match word {
        Operation::Ask(ask) => {
            packed.number(op::ASK);
            packed.text(&ask.id.to_string());
            packed.text(ask.team.as_str());
            packed.number(u64::from(ask.weight.max(1)));
            packed.number(u64::from(ask.turned_back));
            let places: Vec<usize> = ask.keys.iter().filter_map(place).collect();
            packed.count(places.len());
            places.into_iter().for_each(|place| packed.count(place));
        }
        Operation::Wait(id) => {
            packed.number(op::WAIT);
            packed.text(&id.to_string());
        }
        Operation::Leave(id) => {
            packed.number(op::LEAVE);
            packed.text(&id.to_string());
        }
        Operation::Told(told) => {
            // A key that a reload took away is nobody's concern; its word says nothing of another.
            let Some(place) = place(&told.key) else {
                packed.number(op::LEAVE);
                return packed.text("");
            };
            packed.number(op::TOLD);
            packed.count(place);
            packed.number(told.remaining.min(COUNT_MAX));
            packed.number(moment(told.reset_at));
        }
    }
}

/// What the upstream tells is counted up to here: beyond it, doubles are not exact.
const COUNT_MAX: u64 = 1 << 50;

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn moment(timestamp: Timestamp) -> u64 {
    u64::try_from(timestamp.as_microsecond()).unwrap_or(0)
}

/// What its answers are called when they are none.
const PERMITS: &str = "an answer about permits";

/// The script's answer, read from its beginning to its end.
struct Reader(std::vec::IntoIter<Value>);

impl Reader {
    fn of(value: Value) -> Result<Self, Outage> {
        read::<Vec<Value>>(value, PERMITS).map(|values| Self(values.into_iter()))
    }

    fn round(mut self, limits: &AccountLimits, words: &[Operation], at: Timestamp) -> Result<BatchResult, Outage> {
        let mut remaining = Vec::new();
        let keys = limits.keys.iter().map(|(name, _)| Some(name));
        for key in std::iter::once(None).chain(keys) {
            for span in Span::ALL {
                if let Ok(calls) = u64::try_from(self.signed()?) {
                    remaining.push(Remaining { key: key.cloned(), span, calls });
                }
            }
        }
        let mut places = Vec::new();
        for word in words {
            match word {
                Operation::Ask(_) | Operation::Wait(_) => places.push(self.place()?),
                Operation::Leave(_) | Operation::Told(_) => {}
            }
        }
        Ok(BatchResult { places, remaining, at })
    }

    fn place(&mut self) -> Result<QueuePosition, Outage> {
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
