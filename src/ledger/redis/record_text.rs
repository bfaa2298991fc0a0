//! Text format of records: short, since the script copies each byte by byte.

use serde::{Deserialize, Serialize};

use super::json_array::{Elements, array};
use crate::credits::Credits;
use crate::ledger::keeper::TeamRecord;
use crate::ledger::machine::windows::Windows;
use crate::ledger::machine::{Ending, ReservationRecord, Revision, ScopeName, judgement};
use crate::ledger::{CallResult, CallSummary, Outage, Outcome, Phase, ReservationId, Row, Sums};
use crate::store::answer::unreadable;

/// Call summary: request, user, credential, gateway key, model, images, seconds, version of the
/// price table.
type AskedRead = (String, String, String, Option<String>, String, u64, u64, String);

/// Call result: status, code, images, milliseconds of video, in the queue and at the upstream, when
/// sent and when answered.
type ResultRead = (u16, Option<String>, u64, u64, u64, u64, Option<u64>, Option<u64>);

/// Writes what [`AskedRead`] reads.
fn asked(list: &mut Elements<'_>, summary: &CallSummary) {
    let CallSummary { request_id, user, credential, key, model, images, seconds, price_version } =
        summary;
    for text in [request_id, user, credential] {
        list.text(text);
    }
    list.text_or_null(key.as_deref());
    list.text(model);
    list.number(*images);
    list.number(*seconds);
    list.text(price_version);
}

fn summary_read(read: AskedRead) -> CallSummary {
    let (request_id, user, credential, key, model, images, seconds, price_version) = read;
    CallSummary { request_id, user, credential, key, model, images, seconds, price_version }
}

/// Writes what [`ResultRead`] reads.
fn answered(list: &mut Elements<'_>, result: &CallResult) {
    let CallResult { status, code, images, video_ms, queue_ms, upstream_ms, sent_us, answered_us } =
        result;
    list.number(*status);
    list.text_or_null(code.as_deref());
    for number in [*images, *video_ms, *queue_ms, *upstream_ms] {
        list.number(number);
    }
    list.number_or_null(*sent_us);
    list.number_or_null(*answered_us);
}

fn result_read(read: ResultRead) -> CallResult {
    let (status, code, images, video_ms, queue_ms, upstream_ms, sent_us, answered_us) = read;
    CallResult { status, code, images, video_ms, queue_ms, upstream_ms, sent_us, answered_us }
}

/// Writes JSON. Cannot fail: all keys are strings, and it goes to memory.
fn json(bytes: &mut Vec<u8>, record: &impl Serialize) {
    drop(serde_json::to_writer(bytes, record));
}

/// Writes a number.
pub(super) fn number(bytes: &mut Vec<u8>, number: impl itoa::Integer) {
    bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes numbers separated by spaces.
pub(super) fn numbers(bytes: &mut Vec<u8>, all: impl IntoIterator<Item = u64>) {
    for (place, one) in all.into_iter().enumerate() {
        if place > 0 {
            bytes.push(b' ');
        }
        number(bytes, one);
    }
}

/// Writes the record of a team as a whole, as the JSON that serde reads: every call's end writes
/// one, and serde takes several times as long.
pub(super) fn team(bytes: &mut Vec<u8>, record: &TeamRecord) {
    let TeamRecord { rows, lost, lost_until, rows_until, until, prepaid, loss, .. } = record;
    let TeamRecord { replication_id, ended_late_at, .. } = record;
    for (name, pair) in [(&b"{\"rows\":["[..], rows), (b",\"lost\":[", lost)] {
        pair_of(bytes, name, *pair);
    }
    for (name, pair) in
        [(&b",\"lost_until\":["[..], lost_until), (b",\"rows_until\":[", rows_until)]
    {
        pair_of(bytes, name, *pair);
    }
    bytes.extend_from_slice(b",\"until\":");
    number(bytes, *until);
    bytes.extend_from_slice(b",\"prepaid\":");
    number(bytes, *prepaid);
    if let Some(loss) = loss {
        bytes.extend_from_slice(b",\"loss\":");
        json(bytes, loss);
    }
    if *replication_id > 0 {
        bytes.extend_from_slice(b",\"reign\":");
        number(bytes, *replication_id);
    }
    if *ended_late_at != 0 {
        bytes.extend_from_slice(b",\"ended_late_at\":");
        number(bytes, *ended_late_at);
    }
    bytes.push(b'}');
}

fn pair_of(bytes: &mut Vec<u8>, begins: &[u8], [one, other]: [impl itoa::Integer; 2]) {
    bytes.extend_from_slice(begins);
    number(bytes, one);
    bytes.push(b',');
    number(bytes, other);
    bytes.push(b']');
}

/// Writes a number with at least this many digits.
fn digits_of(bytes: &mut Vec<u8>, number: u64, digits: usize) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number);
    bytes.extend(std::iter::repeat_n(b'0', digits.saturating_sub(text.len())));
    bytes.extend_from_slice(text.as_bytes());
}

/// Parses JSON.
pub(super) fn from_json<'a, T: Deserialize<'a>>(text: &'a [u8], what: &str) -> Result<T, Outage> {
    serde_json::from_slice(text).map_err(|_| unreadable(what))
}

/// Stands for the phase of a call that has ended and whose answer is still being read.
const UNREAD: u8 = b'U';

/// Writes the phase of a call, and how often it was marked: the beginning of its record.
pub(super) fn phase(bytes: &mut Vec<u8>, record: &ReservationRecord) {
    bytes.push(match record.phase() {
        Some(Phase::Waiting) => b'W',
        Some(Phase::Dispatched) => b'D',
        Some(Phase::TurnedBack) => b'T',
        None => UNREAD,
    });
    number(bytes, record.marks);
}

/// Writes a reservation, as [`CallRead`] reads it.
pub(super) fn call(bytes: &mut Vec<u8>, record: &ReservationRecord) {
    let ReservationRecord { price, windows, admitted_at, deadline, scopes, .. } = record;
    phase(bytes, record);
    array(bytes, |list| {
        list.number(*price);
        list.text(&windows.day);
        list.number(*admitted_at);
        list.number(*deadline);
        list.array(|list| {
            for ScopeName { level, whose } in scopes {
                list.array(|name| {
                    name.text(level);
                    name.text(whose);
                });
            }
        });
        list.array(|list| asked(list, &record.summary));
        list.number(record.claimed);
        if record.ending.is_some() || record.sent_in > 0 {
            json(list.next(), &record.ending);
            list.number(record.sent_in);
        }
    });
}

/// A reservation as it is written, as a list: what is rare is at the end. The phase is before it.
#[derive(Deserialize)]
struct CallRead {
    price: u64,
    day: String,
    admitted_at: i64,
    deadline: i64,
    scopes: Vec<(String, String)>,
    summary: AskedRead,
    claimed: u64,
    #[serde(default)]
    ending: Option<Ending>,
    #[serde(default)]
    sent_in: u64,
}

/// Parses a reservation.
pub(super) fn read_call(text: &[u8]) -> Result<ReservationRecord, Outage> {
    let (how_far, rest) = text.split_at(text.iter().position(|byte| *byte == b'[').unwrap_or(0));
    let phase = how_far.first().copied();
    let marks = how_far.get(1..).and_then(|marks| str::from_utf8(marks).ok()?.parse().ok());
    let read: CallRead = from_json(rest, "a reservation")?;
    let scopes = read.scopes.into_iter();
    Ok(ReservationRecord {
        dispatched: phase == Some(b'D'),
        turned_back: phase == Some(b'T'),
        unread: phase == Some(UNREAD),
        marks: marks.ok_or_else(|| unreadable("how far a call has come"))?,
        claimed: read.claimed,
        sent_in: read.sent_in,
        ending: read.ending,
        price: read.price,
        windows: Windows::of_day(read.day),
        admitted_at: read.admitted_at,
        deadline: read.deadline,
        scopes: scopes
            .map(|(level, whose)| ScopeName { level: level.into(), whose: whose.into() })
            .collect(),
        summary: summary_read(read.summary).into(),
    })
}

/// Writes a row: its order among all rows, when it was settled, and the row. `place` is its index
/// among the step's rows.
pub(super) fn row(bytes: &mut Vec<u8>, makes: Revision, place: usize, row: &Row) {
    let Row {
        id,
        outcome,
        reserved,
        charged,
        day,
        month: _,
        admitted_at,
        settled_at,
        summary,
        result,
    } = row;
    let (admitted_at, settled_at) = (admitted_at.as_microsecond(), settled_at.as_microsecond());
    // Wide enough for texts to sort like numbers.
    for (part, digits) in [(makes.epoch, 16), (makes.number, 10), (place as u64, 4)] {
        digits_of(bytes, part, digits);
    }
    bytes.push(b' ');
    number(bytes, settled_at);
    bytes.push(b' ');
    array(bytes, |list| {
        list.text(id.encode(&mut [0; ReservationId::LENGTH]));
        list.text(outcome.name());
        list.array(|money| {
            money.number(reserved.micros());
            money.number(charged.micros());
        });
        list.text(day);
        list.number(admitted_at);
        list.number(settled_at);
        list.array(|list| asked(list, summary));
        list.array(|list| answered(list, result));
    });
}

/// Writes a cell of usage.
pub(super) fn sums(bytes: &mut Vec<u8>, sums: Sums) {
    numbers(bytes, sums.to_numbers());
}

/// Parses a row.
pub(super) fn read_row(text: &[u8]) -> Result<Row, Outage> {
    type Read = (ReservationId, Outcome, (u64, u64), String, i64, i64, AskedRead, ResultRead);
    let (id, outcome, (reserved, charged), day, admitted_at, settled_at, summary, result): Read =
        from_json(text, "a row")?;
    let Windows { day, month } = Windows::of_day(day);
    Ok(Row {
        id,
        outcome,
        reserved: Credits::from_micros(reserved),
        charged: Credits::from_micros(charged),
        day,
        month,
        admitted_at: judgement::at(admitted_at),
        settled_at: judgement::at(settled_at),
        summary: summary_read(summary).into(),
        result: result_read(result),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::machine::Loss;

    #[test]
    fn a_team_record_is_written_as_serde_writes_it() {
        let rare = TeamRecord {
            rows: [1, u64::MAX],
            lost: [3, 4],
            lost_until: [-5, 6],
            rows_until: [7, -8],
            until: i64::MIN,
            prepaid: 9,
            loss: Some(Loss::default()),
            replication_id: 10,
            ended_late_at: 11,
        };
        for record in [TeamRecord::default(), rare] {
            let mut text = Vec::new();
            team(&mut text, &record);
            assert_eq!(String::from_utf8(text).unwrap(), serde_json::to_string(&record).unwrap());
        }
    }

    #[test]
    fn a_call_record_reads_back_as_written() {
        let summary = CallSummary {
            request_id: "r \"1\"".into(),
            user: "ä\n{}".into(),
            images: 2,
            ..CallSummary::default()
        };
        let summary = Arc::new(summary);
        let record = ReservationRecord {
            dispatched: false,
            turned_back: true,
            unread: false,
            marks: 12,
            claimed: 3,
            sent_in: 0,
            ending: None,
            price: u64::MAX,
            windows: Windows { day: "2026-11-28".into(), month: "2026-11".into() },
            admitted_at: 1,
            deadline: 2,
            scopes: vec![ScopeName { level: "user".into(), whose: "ä\n{}".into() }],
            summary: summary.clone(),
        };
        let left = ReservationRecord { turned_back: false, unread: true, ..record.clone() };
        let ending = ReservationRecord { ending: Some(Ending::from(4, 5)), ..record.clone() };
        let sent = ReservationRecord { sent_in: 2, ..record.clone() };
        for record in [record, left, ending, sent] {
            let mut text = Vec::new();
            call(&mut text, &record);
            assert_eq!(read_call(&text).unwrap(), record);
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
            summary,
            result: CallResult {
                status: 502,
                code: Some("upstream_error".into()),
                sent_us: Some(9),
                ..CallResult::default()
            },
        };
        let mut text = Vec::new();
        row(&mut text, Revision::default(), 0, &ended);
        let json = text.splitn(3, |byte| *byte == b' ').last().unwrap();
        assert_eq!(read_row(json).unwrap(), ended);
    }
}
