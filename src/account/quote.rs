//! `POST /gateway/v1/quote/{model}`: the price of a call, and whether it would be admitted now.
//! Reserves nothing.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::Serialize;
use tower::Service;

use super::reading::Reading;
use super::shown;
use crate::admission::{build_admission, into_refusal};
use crate::call::PaidCall;
use crate::credits::Credits;
use crate::http::Answer;
use crate::ledger::{LimitView, Phase, Verdict};
use crate::refusal::Refusal;

/// Quotes a call.
///
/// Reads: the body's members that decide the price, the ledger. Writes: one read of its user, in
/// the ledger. Refuses: `invalid_body`, `rate_limited` (for the read, not the call),
/// `ledger_unavailable`. Position: in place of admission, below the same layers, so that a quote is
/// refused exactly when the call would be.
#[derive(Clone)]
pub struct Quotes {
    reading: Reading,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Quote<'a> {
    model: &'a str,
    /// The most the call can cost, which is reserved while it runs.
    price: Credits,
    price_version: &'a str,
    images: u64,
    video_seconds: u64,
    /// `admitted` or `refused`.
    verdict: &'static str,
    /// The code that the call would be refused with.
    code: Option<&'static str>,
    message: Option<String>,
    /// The limit that refuses.
    limit: Option<LimitView>,
    /// When the call could be admitted: now, or later; `null` when waiting will not help.
    earliest: Option<Timestamp>,
    limits: Vec<LimitView>,
}

impl Quotes {
    /// Quotes by this ledger.
    #[must_use]
    pub const fn new(reading: Reading) -> Self {
        Self { reading }
    }

    async fn quote(&self, call: &PaidCall) -> Result<Answer, Refusal> {
        let admission = build_admission::admission(call, Phase::Waiting)?;
        let (summary, price) = (Arc::clone(&admission.summary), admission.price);
        self.reading.snapshot(&call.principal, &call.team).await?;
        let verdict = self.reading.quote(admission).await?;
        let quote = Quote {
            model: call.model.as_str(),
            price,
            price_version: &summary.price_version,
            images: summary.images,
            video_seconds: summary.seconds,
            verdict: "admitted",
            code: None,
            message: None,
            limit: None,
            earliest: None,
            limits: Vec::new(),
        };
        match verdict {
            Verdict::Admitted { statuses, at } => {
                let limits = statuses.iter().map(LimitView::from).collect();
                shown(&Quote { earliest: Some(at), limits, ..quote }, &statuses, at)
            }
            Verdict::Refused { statuses, binding, retry_at, at } => {
                let refusal = into_refusal::refusal(statuses.clone(), binding, retry_at, at, price);
                let quote = Quote {
                    verdict: "refused",
                    code: Some(refusal.kind().code),
                    message: Some(refusal.message()),
                    limit: statuses.get(binding).map(LimitView::from),
                    earliest: retry_at,
                    limits: statuses.iter().map(LimitView::from).collect(),
                    ..quote
                };
                shown(&quote, &statuses, at)
            }
        }
    }
}

impl Service<PaidCall> for Quotes {
    type Response = Answer;
    type Error = Refusal;
    type Future = BoxFuture<'static, Result<Answer, Refusal>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: PaidCall) -> Self::Future {
        let quotes = self.clone();
        Box::pin(async move { quotes.quote(&call).await })
    }
}
