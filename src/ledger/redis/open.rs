//! Reads open calls from the team's reservations, as the script keeps them.

use redis::{FromRedisValue, Value};

use super::row::{credits, moment, unreadable};
use crate::ledger::{OpenCall, Outage, Phase, ReservationId};

/// Reads the ids that the sorted set of deadlines answers.
pub(super) fn read_ids(value: &Value) -> Result<Vec<ReservationId>, Outage> {
    let ids: Vec<String> = Vec::from_redis_value_ref(value).map_err(|_| unreadable("ids"))?;
    ids.iter().map(|id| id.parse().map_err(|_| unreadable("id"))).collect()
}

/// Reads what `HMGET` answers for these ids. What has ended meanwhile is passed over.
pub(super) fn read(ids: &[ReservationId], value: &Value) -> Result<Vec<OpenCall>, Outage> {
    let records: Vec<Option<String>> = Vec::from_redis_value_ref(value).map_err(|_| unreadable("records"))?;
    let mut open = Vec::with_capacity(ids.len());
    for (id, record) in ids.iter().zip(records) {
        // A mark in the place of a reservation says that it has ended.
        if let Some(record) = record.filter(|record| record != "X") {
            open.push(call(*id, &record)?);
        }
    }
    Ok(open)
}

/// A reservation's record is phase, when admitted, day, price, model, user, scopes, what was asked.
fn call(id: ReservationId, record: &str) -> Result<OpenCall, Outage> {
    let asked_at = record.find('{').ok_or_else(|| unreadable("call"))?;
    let (head, asked) = record.split_at(asked_at);
    let mut head = head.split(' ');
    let mut next = |name| head.next().ok_or_else(|| unreadable(name));
    let (phase, admitted_at, _day, price) = (next("phase")?, next("admitted_at")?, next("day")?, next("price")?);
    Ok(OpenCall {
        id,
        phase: match phase {
            "W" => Phase::Waiting,
            "D" => Phase::Dispatched,
            "T" => Phase::TurnedBack,
            _ => return Err(unreadable("phase")),
        },
        reserved: credits(price)?,
        admitted_at: moment(admitted_at)?,
        asked: serde_json::from_str(asked).map_err(|_| unreadable("call"))?,
    })
}
