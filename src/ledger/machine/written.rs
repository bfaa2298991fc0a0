//! Writes a scope's record as the JSON that serde reads. Every call writes one for each of its
//! scopes, and serde takes several times as long.

use serde::Serialize;

use super::bucket::Bucket;
use super::record::ScopeRecord;
use super::windows::{Counts, WindowCounts};

impl ScopeRecord {
    /// Writes it as JSON.
    pub(in crate::ledger) fn write(&self, bytes: &mut Vec<u8>) {
        let Self { total, days, months, buckets, unread, topped_up, .. } = self;
        let Self { crossed, until, shares, voids, .. } = self;
        bytes.extend_from_slice(b"{\"total\":");
        counts(bytes, *total);
        windows(bytes, b",\"days\":{", days);
        windows(bytes, b",\"months\":{", months);
        for (place, (period, bucket)) in buckets.iter().enumerate() {
            bytes.extend_from_slice(if place == 0 { b",\"buckets\":{\"" } else { b",\"" });
            number(bytes, *period);
            bytes.extend_from_slice(b"\":");
            write_bucket(bytes, *bucket);
        }
        if !buckets.is_empty() {
            bytes.push(b'}');
        }
        for (name, value) in [(&b",\"unread\":"[..], *unread), (b",\"topped_up\":", *topped_up)] {
            if value > 0 {
                bytes.extend_from_slice(name);
                number(bytes, value);
            }
        }
        rare(bytes, b",\"crossed\":", crossed, crossed.is_empty());
        if let Some(until) = until {
            bytes.extend_from_slice(b",\"until\":");
            number(bytes, *until);
        }
        rare(bytes, b",\"shares\":", shares, shares.is_empty());
        rare(bytes, b",\"voids\":", voids, voids.is_empty());
        bytes.push(b'}');
    }
}

fn write_bucket(bytes: &mut Vec<u8>, Bucket { level, since }: Bucket) {
    bytes.extend_from_slice(b"{\"level\":");
    number(bytes, level);
    bytes.extend_from_slice(b",\"since\":");
    number(bytes, since);
    bytes.push(b'}');
}

fn number(bytes: &mut Vec<u8>, number: impl itoa::Integer) {
    bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn counts(bytes: &mut Vec<u8>, counts: Counts) {
    for (place, count) in <[u64; 4]>::from(counts).into_iter().enumerate() {
        bytes.push(if place == 0 { b'[' } else { b',' });
        number(bytes, count);
    }
    bytes.push(b']');
}

fn windows(bytes: &mut Vec<u8>, begins: &[u8], windows: &WindowCounts) {
    bytes.extend_from_slice(begins);
    for (place, (name, counted)) in windows.iter().enumerate() {
        if place > 0 {
            bytes.push(b',');
        }
        if name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-')) {
            bytes.push(b'"');
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b'"');
        } else {
            // Writing to memory cannot fail.
            drop(serde_json::to_writer(&mut *bytes, &**name));
        }
        bytes.push(b':');
        counts(bytes, *counted);
    }
    bytes.push(b'}');
}

/// Writes what is rarely present.
fn rare(bytes: &mut Vec<u8>, begins: &[u8], what: &impl Serialize, is_empty: bool) {
    if !is_empty {
        bytes.extend_from_slice(begins);
        drop(serde_json::to_writer(&mut *bytes, what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::machine::revision::Revision;
    use crate::ledger::machine::windows::Windows;
    use crate::team::limit::Period;

    fn written(record: &ScopeRecord) -> String {
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_record_is_written_as_serde_writes_it() {
        let mut record = ScopeRecord::default();
        for (day, month) in [("2026-11-29", "2026-11"), ("2026-12-01", "2026-12")] {
            assert_eq!(written(&record), serde_json::to_string(&record).unwrap());
            record.reserve(&Windows { day: day.to_owned(), month: month.to_owned() }, u64::MAX / 2);
        }
        record.reserve(&Windows { day: "7\"7".to_owned(), month: "-\\-".to_owned() }, 1);
        for period in [1_000_000, 60_000_000] {
            record.set_bucket(period, Bucket::default().drained(1, -7).with_one_taken(period));
            assert_eq!(written(&record), serde_json::to_string(&record).unwrap());
        }
        record.keep_slot();
        record.set_topped_up(5);
        record.mark_crossed(Period::Day, "2026 \"11\"".to_owned());
        record.set_until(Some(-1));
        record.seal(&[(3, 4)].into(), &[].into());
        record.void(Revision::new(3, 5, 6), ScopeRecord::default());
        assert_eq!(written(&record), serde_json::to_string(&record).unwrap());
        assert!(
            ["unread", "topped_up", "crossed", "until", "shares", "voids"]
                .iter()
                .all(|name| written(&record).contains(name))
        );
    }
}
