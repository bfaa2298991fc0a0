//! Exemplars: for each bucket of a histogram, the trace of one request, so that a slow bucket on a
//! board leads to a trace that shows why.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::request::Traceparent;

/// An observation with its trace.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar {
    /// The trace.
    pub trace: Traceparent,
    /// Observed time.
    pub duration: Duration,
    /// Time of the observation.
    pub at: Timestamp,
}

/// The last exemplar of each bucket, including the unbounded one. Clones share them.
#[derive(Clone, Debug)]
pub struct Exemplars {
    bounds: &'static [f64],
    last: Arc<Mutex<Vec<Option<Exemplar>>>>,
}

impl Exemplars {
    /// Creates an empty set; memory is allocated with the first exemplar.
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, last: Arc::default() }
    }

    /// Replaces the exemplar of a bucket. Skipped while another thread does so, because either
    /// exemplar serves.
    pub(super) fn keep(&self, exemplar: Exemplar) {
        let Ok(mut last) = self.last.try_lock() else { return };
        if last.is_empty() {
            last.resize(self.bounds.len() + 1, None);
        }
        let seconds = exemplar.duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(place) = last.get_mut(bucket) {
            *place = Some(exemplar);
        }
    }

    /// Exemplars by bucket, the unbounded one last; empty before the first.
    pub(super) fn read(&self) -> Vec<Option<Exemplar>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
