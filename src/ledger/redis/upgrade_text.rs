//! Rows and cells of usage in the format of the previous layout, `mg1`: an upgrade renames their
//! keys and leaves them as they are.
//!
//! A row is `id outcome charged settled_at order`, then the reservation's record, `phase
//! admitted_at day price model user scope scope.. {summary}`, and `{result}` unless a sweep ended
//! it. A cell is named by its model and its user, escaped.

use serde::Deserialize;

use crate::credits::Credits;
use crate::ledger::machine::judgement;
use crate::ledger::machine::windows::Windows;
use crate::ledger::usage::OVERFLOW;
use crate::ledger::{CallResult, CallSummary, Outage, Outcome, Row, Sums};
use crate::store::answer::unreadable;

/// Parses a row.
pub(super) fn read_row(kept: &str) -> Result<Row, Outage> {
    read(kept).ok_or_else(|| unreadable("a row"))
}

fn read(kept: &str) -> Option<Row> {
    let (head, summary) = kept.split_at(kept.find('{')?);
    let mut words = head.split(' ');
    let (id, outcome, charged, settled_at) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    // The oldest rows have no order.
    if words.next()?.starts_with(|first: char| first.is_ascii_digit()) {
        words.next()?;
    }
    let (admitted_at, day, price) = (words.next()?, words.next()?, words.next()?);
    let mut texts = serde_json::Deserializer::from_str(summary);
    let summary = CallSummary::deserialize(&mut texts).ok()?;
    let result = if texts.end().is_ok() {
        CallResult::default()
    } else {
        CallResult::deserialize(&mut texts).ok()?
    };
    let Windows { day, month } = Windows::of_day(day.to_owned());
    Some(Row {
        id: id.parse().ok()?,
        outcome: Outcome::ALL.into_iter().find(|known| known.name() == outcome)?,
        reserved: Credits::from_micros(price.parse().ok()?),
        charged: Credits::from_micros(charged.parse().ok()?),
        day,
        month,
        admitted_at: judgement::at(admitted_at.parse().ok()?),
        settled_at: judgement::at(settled_at.parse().ok()?),
        summary: summary.into(),
        result,
    })
}

/// When a row was settled, in microseconds of Unix time.
pub(super) fn settled_at(kept: &str) -> Option<i64> {
    kept.split(' ').nth(3)?.parse().ok()
}

/// Model and user of a cell.
pub(super) fn cell_of(name: &str) -> Option<(String, String)> {
    if name == OVERFLOW {
        return Some((OVERFLOW.to_owned(), OVERFLOW.to_owned()));
    }
    let (model, user) = name.split_once(' ')?;
    Some((model.to_owned(), unescaped(user)?))
}

/// Unescapes a name: `%` and two hexadecimal digits for each byte that is not plain.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?,
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Parses a cell.
pub(super) fn sums(text: &str) -> Result<Sums, Outage> {
    let numbers: Option<Vec<u64>> = text.split(' ').map(|number| number.parse().ok()).collect();
    let mut numbers = numbers.ok_or_else(|| unreadable("usage"))?;
    // Cells written before refused calls were counted lack their number.
    if numbers.len() == 8 {
        numbers.push(0);
    }
    Ok(Sums::from_numbers(numbers.try_into().map_err(|_| unreadable("usage"))?))
}
