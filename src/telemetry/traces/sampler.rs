//! Decides which requests are recorded: as their caller decided, else a share of the traces that
//! begin here.

use crate::request::Traceparent;
use crate::team::Share;

/// Decides by the caller's `sampled` flag where there is a caller's trace, else by the trace's id:
/// OpenTelemetry's `ParentBased` sampler above `TraceIdRatioBased`.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    /// Traces are recorded whose lowest 63 bits are below.
    bound: u64,
}

impl Sampler {
    /// Records this share of the traces that begin here.
    #[must_use]
    pub fn new(share: Share) -> Self {
        Self { bound: share.of(1 << 63) }
    }

    /// Whether a request in this trace is recorded.
    #[must_use]
    pub fn records(self, trace: Traceparent, caller: Option<Traceparent>) -> bool {
        match caller {
            Some(caller) => caller.is_sampled(),
            None => lowest_63_bits(trace.trace_id()) < self.bound,
        }
    }
}

/// The same bits as other SDKs use, so that all with one share choose the same traces.
const fn lowest_63_bits(trace_id: u128) -> u64 {
    let bytes = trace_id.to_be_bytes();
    let [.., a, b, c, d, e, f, g, h] = bytes;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use crate::request::TraceIds;

    fn caller(flags: &str) -> Option<Traceparent> {
        Traceparent::parse(
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}").as_bytes(),
        )
    }

    fn share(text: &str) -> Sampler {
        Sampler::new(text.parse().expect("a share"))
    }

    #[test]
    fn the_callers_decision_stands_whatever_the_share() {
        let trace = TraceIds::default().next(None);
        assert!(share("0.000001").records(trace, caller("01")));
        assert!(!share("1").records(trace, caller("00")));
    }

    #[test]
    fn of_new_traces_a_share_is_recorded() {
        let ids = TraceIds::default();
        let traces: Vec<Traceparent> = (0..10_000).map(|_| ids.next(None)).collect();
        let recorded = |text| {
            let sampler = share(text);
            let recorded = traces.iter().filter(|trace| sampler.records(**trace, None));
            recorded.copied().collect::<Vec<_>>()
        };
        let (tenth, fifth) = (recorded("0.1"), recorded("0.2"));
        assert_eq!(recorded("1").len(), 10_000);
        assert!((800..1_200).contains(&tenth.len()), "{}", tenth.len());
        assert!(tenth.iter().all(|trace| fifth.contains(trace)), "a larger share has all of it");
    }

    #[test]
    fn the_same_traces_are_chosen_as_by_other_sdks() {
        let trace = |id: &str| {
            Traceparent::parse(format!("00-{id}-00f067aa0ba902b7-00").as_bytes()).expect("a trace")
        };
        let below = trace("ffffffffffffffff7ffffffffffffffe");
        let above = trace("00000000000000018000000000000000");
        assert!(share("0.5").records(below, None) && !share("0.5").records(above, None));
    }
}
