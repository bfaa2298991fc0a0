//! `POST /gateway/v1/quote/{model}`: what a call would cost, and whether it may be made now. Nothing is reserved.

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
/// Reads: the body's members that decide the price, the ledger. Writes: one reading of its user, in the ledger.
/// Refuses: `invalid_body`, `rate_limited` (the reading, not the call), `ledger_unavailable`. Position: where admission
/// stands on the path of a paid call, below the same layers: what they refuse a call, they refuse its quote.
#[derive(Clone)]
pub struct Quotes {
    reading: Reading,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Quote<'a> {
    model: &'a str,
    /// The most the call can cost; this much is held while it runs.
    price: Credits,
    price_version: &'a str,
    images: u64,
    video_seconds: u64,
    /// `admitted` or `refused`.
    verdict: &'static str,
    /// What the call would be refused with.
    code: Option<&'static str>,
    message: Option<String>,
    /// The limit that binds.
    limit: Option<LimitView>,
    /// When the call could pass: now, when it is admitted; `null` when no time will help.
    earliest: Option<Timestamp>,
    limits: Vec<LimitView>,
}

impl Quotes {
    /// Quotes from this ledger.
    #[must_use]
    pub const fn new(reading: Reading) -> Self {
        Self { reading }
    }

    async fn quote(&self, call: &PaidCall) -> Result<Answer, Refusal> {
        let admission = build_admission::admission(call, Phase::Waiting)?;
        let (asked, price) = (Arc::clone(&admission.asked), admission.price);
        self.reading.books(&call.principal, &call.team).await?;
        let verdict = self.reading.quote(admission).await?;
        let quote = Quote {
            model: call.model.as_str(),
            price,
            price_version: &asked.price_version,
            images: asked.images,
            video_seconds: asked.seconds,
            verdict: "admitted",
            code: None,
            message: None,
            limit: None,
            earliest: None,
            limits: Vec::new(),
        };
        match verdict {
            Verdict::Admitted { standings, at } => {
                let limits = standings.iter().map(LimitView::from).collect();
                shown(&Quote { earliest: Some(at), limits, ..quote }, &standings, at)
            }
            Verdict::Refused { standings, binding, retry_at, at } => {
                let refusal = into_refusal::refusal(standings.clone(), binding, retry_at, at, price);
                let quote = Quote {
                    verdict: "refused",
                    code: Some(refusal.kind().code),
                    message: Some(refusal.message()),
                    limit: standings.get(binding).map(LimitView::from),
                    earliest: retry_at,
                    limits: standings.iter().map(LimitView::from).collect(),
                    ..quote
                };
                shown(&quote, &standings, at)
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
