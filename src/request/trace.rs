//! W3C Trace Context of a request: parsed strictly, continued or begun.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

use crate::http::TRACEPARENT;

/// Value of a `traceparent` header (W3C Trace Context, section 3.2): the trace, and the calling
/// span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    trace: u128,
    span: u64,
    flags: u8,
}

impl Traceparent {
    const BYTES: usize = 55;
    /// Flags that this gateway knows and passes on: sampled, and random trace id.
    const FLAGS_KNOWN: u8 = 0b11;
    const SAMPLED: u8 = 0b01;

    /// The trace a caller continues: exactly one well-formed header. Anything else begins a new
    /// trace.
    #[must_use]
    pub fn accept(headers: &HeaderMap) -> Option<Self> {
        let mut sent = headers.get_all(TRACEPARENT).iter();
        let only = sent.next().filter(|_| sent.next().is_none())?;
        Self::parse(only.as_bytes())
    }

    /// Parses a header value: lower-case hexadecimal digits, no id of zeros, no version `ff`; a
    /// later version may have more after the known part.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, later) = value.split_at_checked(Self::BYTES)?;
        let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        let [version] = bytes(&known[..2])?;
        let ends_well =
            if version == 0 { later.is_empty() } else { later.is_empty() || later[0] == b'-' };
        if !dashes || version == 0xff || !ends_well {
            return None;
        }
        let trace = u128::from_be_bytes(bytes(&known[3..35])?);
        let span = u64::from_be_bytes(bytes(&known[36..52])?);
        let [flags] = bytes(&known[53..])?;
        let flags = flags & Self::FLAGS_KNOWN;
        (trace != 0 && span != 0).then_some(Self { trace, span, flags })
    }

    /// The trace's id.
    #[must_use]
    pub const fn trace_id(self) -> u128 {
        self.trace
    }

    /// The span's id.
    #[must_use]
    pub const fn span(self) -> u64 {
        self.span
    }

    /// The flags.
    #[must_use]
    pub const fn flags(self) -> u8 {
        self.flags
    }

    /// The sampled flag: whether the sender records the trace.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// The same, saying whether the trace is recorded here.
    #[must_use]
    pub const fn sampled(self, is_sampled: bool) -> Self {
        let others = self.flags & !Self::SAMPLED;
        Self { flags: if is_sampled { others | Self::SAMPLED } else { others }, ..self }
    }

    /// The same trace with another span.
    #[must_use]
    pub const fn with_span(self, span: u64) -> Self {
        Self { span, ..self }
    }

    /// The header's text.
    #[must_use]
    pub fn text(self) -> TraceText {
        let mut text = *b"00-................................-................-..";
        // Cannot fail: every place has two digits for each byte.
        let mut write = |place: Range<usize>, bytes: &[u8]| {
            hex::encode_to_slice(bytes, &mut text[place]).is_ok()
        };
        write(3..35, &self.trace.to_be_bytes());
        write(36..52, &self.span.to_be_bytes());
        write(53..55, &[self.flags]);
        TraceText(text)
    }
}

/// A [`Traceparent`] as text.
#[derive(Clone, Copy, Debug)]
pub struct TraceText([u8; Traceparent::BYTES]);

impl TraceText {
    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The trace's id, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.as_str().get(3..35).unwrap_or_default()
    }
}

/// Parses exactly `N` bytes from lower-case hexadecimal digits.
fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let decoded = hex::decode_to_slice(digits, &mut bytes);
    (decoded.is_ok() && !digits.iter().any(u8::is_ascii_uppercase)).then_some(bytes)
}

/// Ids of new traces and spans: a keyed hash of a counter. Replicas make different ones, and none
/// costs a system call. They are names and not secrets.
#[derive(Debug, Default)]
pub struct TraceIds {
    key: RandomState,
    made: AtomicU64,
}

impl TraceIds {
    /// The gateway's span in a caller's trace, or the first span of a new one. A new trace is not
    /// marked as sampled until it is recorded.
    #[must_use]
    pub fn next(&self, continued: Option<Traceparent>) -> Traceparent {
        match continued {
            Some(caller) => Traceparent { span: self.id(), ..caller },
            None => {
                let trace = u128::from(self.id()) << 64 | u128::from(self.id());
                Traceparent { trace, span: self.id(), flags: 0 }
            }
        }
    }

    /// A random id, never zero, which the standard reserves.
    pub(super) fn id(&self) -> u64 {
        self.key.hash_one(self.made.fetch_add(1, Ordering::Relaxed)).max(1)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_well_formed_trace_continues_with_our_own_span() {
        let sent = Traceparent::parse(SENT.as_bytes()).expect("well-formed");
        assert_eq!(sent.text().as_str(), SENT);
        let ours = TraceIds::default().next(Some(sent));
        assert_eq!(ours.text().trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(ours.span, sent.span);
        assert!(ours.text().as_str().ends_with("-01"));
    }

    #[test]
    fn a_malformed_trace_header_begins_a_new_trace() {
        for bad in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Traceparent::parse(bad.as_bytes()), None, "{bad}");
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-next";
        assert_eq!(Traceparent::parse(later.as_bytes()), Traceparent::parse(SENT.as_bytes()));
    }

    #[test]
    fn two_headers_are_no_trace() {
        let mut headers = HeaderMap::new();
        assert_eq!(Traceparent::accept(&headers), None);
        headers.append(TRACEPARENT, HeaderValue::from_static(SENT));
        assert!(Traceparent::accept(&headers).is_some());
        headers.append(TRACEPARENT, HeaderValue::from_static(SENT));
        assert_eq!(Traceparent::accept(&headers), None);
    }

    #[test]
    fn every_new_trace_is_another_and_is_read_back() {
        let (ids, others) = (TraceIds::default(), TraceIds::default());
        let made: std::collections::HashSet<String> = (0..1000)
            .flat_map(|_| [&ids, &others])
            .map(|ids| ids.next(None).text().as_str().to_owned())
            .collect();
        assert_eq!(made.len(), 2000);
        assert!(made.iter().all(|text| Traceparent::parse(text.as_bytes()).is_some()));
    }
}
