//! Records as texts: short ones, since each is carried through the script byte by byte.

use serde::{Deserialize, Serialize};

use super::decode::unreadable;
use crate::credits::Credits;
use crate::ledger::machine::record::Windows;
use crate::ledger::machine::{ReservationRecord, ScopeName, judgement};
use crate::ledger::{Asked, Came, Outage, Outcome, Phase, ReservationId, Row};

/// What was asked: request, user, credential, gateway key, model, images, seconds, version of the price table.
type AskedText<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, &'a str, u64, u64, &'a str);

/// The same, read.
type AskedRead = (String, String, String, Option<String>, String, u64, u64, String);

/// What came: status, code, images, milliseconds of video, in the queue and at the upstream, when sent and when answered.
type CameText<C> = (u16, Option<C>, u64, u64, u64, u64, Option<u64>, Option<u64>);

fn asked_text(asked: &Asked) -> AskedText<'_> {
    let Asked { request_id, user, credential, key, model, images, seconds, price_version } = asked;
    (request_id, user, credential, key.as_deref(), model, *images, *seconds, price_version)
}

fn asked_read(read: AskedRead) -> Asked {
    let (request_id, user, credential, key, model, images, seconds, price_version) = read;
    Asked { request_id, user, credential, key, model, images, seconds, price_version }
}

fn came_text(came: &Came) -> CameText<&str> {
    let Came { status, code, images, video_ms, queue_ms, upstream_ms, sent_us, answered_us } = came;
    (*status, code.as_deref(), *images, *video_ms, *queue_ms, *upstream_ms, *sent_us, *answered_us)
}

fn came_read(read: CameText<String>) -> Came {
    let (status, code, images, video_ms, queue_ms, upstream_ms, sent_us, answered_us) = read;
    Came { status, code, images, video_ms, queue_ms, upstream_ms, sent_us, answered_us }
}

/// A text of JSON. Nothing that is kept has a key that is no text, or fails to be written.
pub(super) fn json(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

/// Reads a text of JSON.
pub(super) fn from_json<'a, T: Deserialize<'a>>(text: &'a [u8], what: &str) -> Result<T, Outage> {
    serde_json::from_slice(text).map_err(|_| unreadable(what))
}

/// A reservation, but for how far its call has come.
pub(super) fn call(record: &ReservationRecord) -> Vec<u8> {
    let scopes: Vec<(&str, &str)> =
        record.scopes.iter().map(|scope| (scope.level.as_str(), scope.whose.as_str())).collect();
    let ReservationRecord { price, admitted_at, deadline, claimed, .. } = record;
    json(&(price, &record.windows.day, admitted_at, deadline, scopes, asked_text(&record.asked), claimed))
}

/// Stands in place of how far a call has come when that has ended and only its answer is still being read.
const UNREAD: char = 'U';

/// How far a call has come, and how often it was marked.
pub(super) fn phase(record: &ReservationRecord) -> String {
    let phase = match record.phase() {
        Some(Phase::Waiting) => 'W',
        Some(Phase::Dispatched) => 'D',
        Some(Phase::TurnedBack) => 'T',
        None => UNREAD,
    };
    format!("{phase}{}", record.marks)
}

/// Reads a reservation from both of its texts.
pub(super) fn read_call(text: &[u8], phase: &[u8]) -> Result<ReservationRecord, Outage> {
    type Read = (u64, String, i64, i64, Vec<(String, String)>, AskedRead, u64);
    let (price, day, admitted_at, deadline, scopes, asked, claimed): Read = from_json(text, "a reservation")?;
    let marks = phase.get(1..).and_then(|marks| str::from_utf8(marks).ok()?.parse().ok());
    Ok(ReservationRecord {
        dispatched: phase.first() == Some(&b'D'),
        turned_back: phase.first() == Some(&b'T'),
        unread: phase.first() == Some(&(UNREAD as u8)),
        marks: marks.ok_or_else(|| unreadable("how far a call has come"))?,
        claimed,
        price,
        windows: Windows { month: month_of(&day), day },
        admitted_at,
        deadline,
        scopes: scopes.into_iter().map(|(level, whose)| ScopeName { level, whose }).collect(),
        asked: asked_read(asked),
    })
}

/// Days are written year first, so a day's name begins with its month's.
pub(super) fn month_of(day: &str) -> String {
    day.get(..7).unwrap_or_default().to_owned()
}

/// A row.
pub(super) fn row(row: &Row) -> Vec<u8> {
    let Row { id, outcome, reserved, charged, day, month: _, admitted_at, settled_at, asked, came } = row;
    let (admitted_at, settled_at) = (admitted_at.as_microsecond(), settled_at.as_microsecond());
    let money = (reserved.micros(), charged.micros());
    json(&(id, outcome, money, day, admitted_at, settled_at, asked_text(asked), came_text(came)))
}

/// Reads a row.
pub(super) fn read_row(text: &[u8]) -> Result<Row, Outage> {
    type Read = (ReservationId, Outcome, (u64, u64), String, i64, i64, AskedRead, CameText<String>);
    let (id, outcome, (reserved, charged), day, admitted_at, settled_at, asked, came): Read = from_json(text, "a row")?;
    Ok(Row {
        id,
        outcome,
        reserved: Credits::from_micros(reserved),
        charged: Credits::from_micros(charged),
        month: month_of(&day),
        day,
        admitted_at: judgement::at(admitted_at),
        settled_at: judgement::at(settled_at),
        asked: asked_read(asked),
        came: came_read(came),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_call_comes_back_as_it_was() {
        let asked = Asked { request_id: "r \"1\"".into(), user: "ä\n{}".into(), images: 2, ..Asked::default() };
        let record = ReservationRecord {
            dispatched: false,
            turned_back: true,
            unread: false,
            marks: 12,
            claimed: 3,
            price: u64::MAX,
            windows: Windows { day: "2026-11-28".into(), month: "2026-11".into() },
            admitted_at: 1,
            deadline: 2,
            scopes: vec![ScopeName { level: "user".into(), whose: "ä\n{}".into() }],
            asked: asked.clone(),
        };
        let left = ReservationRecord { turned_back: false, unread: true, ..record.clone() };
        for record in [record, left] {
            assert_eq!(read_call(&call(&record), phase(&record).as_bytes()).unwrap(), record);
        }
        let ended = Row {
            id: ReservationId::new(),
            outcome: Outcome::Unknown,
            reserved: Credits::from_micros(7),
            charged: Credits::from_micros(5),
            day: "2026-11-28".into(),
            month: "2026-11".into(),
            admitted_at: judgement::at(1),
            settled_at: judgement::at(2),
            asked,
            came: Came { status: 502, code: Some("upstream_error".into()), sent_us: Some(9), ..Came::default() },
        };
        assert_eq!(read_row(&row(&ended)).unwrap(), ended);
    }
}
