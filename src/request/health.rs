//! Health of this replica on the team listener, for balancers that see no other port.
//!
//! `/readyz` of the operator's listener says more; this says only whether to send calls here.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::http::{Answer, AnswerBody};
use crate::refusal::Refusal;

/// Whether calls should be sent to this replica. Clones share it.
#[derive(Clone)]
pub struct Health(Arc<dyn Fn() -> Result<(), Refusal> + Send + Sync>);

impl Health {
    /// A health that is asked for at each request.
    #[must_use]
    pub fn new(ready: impl Fn() -> Result<(), Refusal> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ready))
    }

    /// The answer of `GET /gateway/health`.
    ///
    /// # Errors
    /// Why no calls should be sent here: `draining` or `ledger_unavailable`.
    pub(super) fn answer(&self) -> Result<Answer, Refusal> {
        (self.0)()?;
        let mut answer = Answer::new(AnswerBody::new(&br#"{"status":"ok"}"#[..]));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Health({:?})", (self.0)())
    }
}
