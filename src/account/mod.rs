//! A team's views of its own account: budgets, calls, usage, and quotes.
//!
//! Reading order: [`reading`] (rate-limited reads of the ledger), [`query`] (query parameters),
//! [`named`] (names of the team's keys), [`views`] (balance and `me`), [`generations`],
//! [`requests`], [`usage`], [`spend`], [`quote`].

pub mod generations;
pub mod named;
pub mod query;
pub mod quote;
pub mod reading;
pub mod requests;
pub mod spend;
pub mod usage;
pub mod views;

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use jiff::Timestamp;
use serde::Serialize;
use tower::Service;

pub use quote::Quotes;
pub use reading::{Reading, Settings};

use self::named::{Named, Names};
use self::query::{Page, Period, Query};
use self::reading::away;
use self::requests::Requests;
use crate::http::{Answer, AnswerBody, HeaderWriter};
use crate::idempotency::Replays;
use crate::identity::{KeyNames, Principal};
use crate::ledger::{LimitStatus, headers};
use crate::printable;
use crate::refusal::Refusal;
use crate::refused::{self, RefusedCall};
use crate::request::Buffer;
use crate::request::route::Account;
use crate::team::Team;

/// A request for a view of the caller's own team.
#[derive(Debug)]
pub struct Question {
    /// The view.
    pub view: Account,
    /// The query string.
    pub query: Option<String>,
    /// The caller.
    pub principal: Arc<Principal>,
    /// The team.
    pub team: Arc<Team>,
}

/// Serves a team's views of its own account.
///
/// Reads: the ledger, stored calls. Writes: one read of its user, in the ledger. Refuses:
/// `invalid_request`, `rate_limited`, `ledger_unavailable`, `request_not_found`, `overloaded`.
/// Position: a branch below authentication, so that a caller sees only its own team.
#[derive(Clone)]
pub struct Views {
    reading: Reading,
    replays: Replays,
    refused: Arc<dyn refused::Store>,
    key_names: KeyNames,
    buffer: Buffer,
}

impl Views {
    /// Views of this ledger, these stored calls and these refused ones, in which users who are
    /// gateway keys also have these names; large answers take memory from `buffer`.
    #[must_use]
    pub fn new(
        reading: Reading,
        replays: Replays,
        refused: Arc<dyn refused::Store>,
        key_names: KeyNames,
        buffer: Buffer,
    ) -> Self {
        Self { reading, replays, refused, key_names, buffer }
    }
}

impl Service<Question> for Views {
    type Response = Answer;
    type Error = Refusal;
    type Future = BoxFuture<'static, Result<Answer, Refusal>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, question: Question) -> Self::Future {
        let views = self.clone();
        Box::pin(async move { views.answer(question).await })
    }
}

impl Views {
    const fn names<'a>(&'a self, team: &'a Team) -> Names<'a> {
        Names { keys: &self.key_names, team: &team.id }
    }

    fn requests<'a>(&'a self, team: &'a Team) -> Requests<'a> {
        Requests { ledger: self.reading.ledger(), replays: &self.replays, team: &team.id }
    }

    /// Makes a view. A large one, such as a stored answer, takes the team's memory until it is
    /// read.
    async fn answer(&self, question: Question) -> Result<Answer, Refusal> {
        let team = question.team.id.clone();
        let answer = self.view(question).await?;
        let bytes = answer.body().bytes().len();
        if bytes <= SMALL_BYTES {
            return Ok(answer);
        }
        let room = self.buffer.take(&team, bytes)?;
        Ok(answer.map(|body| body.holding(Some(room))))
    }

    async fn view(&self, question: Question) -> Result<Answer, Refusal> {
        let Question { view, query, principal, team } = question;
        let query = Query::read(query.as_deref().unwrap_or_default());
        let reading = &self.reading;
        let names = self.names(&team);
        match view {
            Account::Balance => {
                let snapshot = reading.snapshot(&principal, &team).await?;
                shown(&views::balance(&team, &snapshot), &snapshot.statuses, snapshot.at)
            }
            Account::Me => {
                let snapshot = reading.snapshot(&principal, &team).await?;
                let me = views::me(&principal, &team, &snapshot, names);
                shown(&me, &snapshot.statuses, snapshot.at)
            }
            Account::Generations => {
                let page = Page::of(&query)?;
                let snapshot = reading.snapshot(&principal, &team).await?;
                let at = snapshot.at;
                let list = generations::list(reading.ledger(), &team, names, &page, at).await?;
                shown(&list, &snapshot.statuses, snapshot.at)
            }
            Account::Usage => {
                let period = Period::of(&query)?;
                let snapshot = reading.snapshot(&principal, &team).await?;
                shown(
                    &usage::of(reading.ledger(), &team, period, snapshot.at).await?,
                    &snapshot.statuses,
                    snapshot.at,
                )
            }
            Account::Spend => {
                let period = Period::of_ours(&query)?;
                let snapshot = reading.snapshot(&principal, &team).await?;
                let at = snapshot.at;
                let spend = spend::of(reading.ledger(), &team, names, period, at).await?;
                shown(&spend, &snapshot.statuses, snapshot.at)
            }
            Account::Requests => {
                let snapshot = reading.snapshot(&principal, &team).await?;
                shown(&self.requests(&team).all().await?, &snapshot.statuses, snapshot.at)
            }
            Account::Refusals => {
                let snapshot = reading.snapshot(&principal, &team).await?;
                let refusals =
                    self.refused.latest(&team.id).await.map_err(|outage| away(&outage))?;
                let named = |call: RefusedCall| names.with(&call.user.clone(), call);
                let refusals = refusals.into_iter().map(named).collect();
                shown(&RefusalsView { refusals }, &snapshot.statuses, snapshot.at)
            }
            Account::Request(id) => {
                let snapshot = reading.snapshot(&principal, &team).await?;
                let requests = self.requests(&team);
                if let Some(call) = id.as_call_id()
                    && let Some(call) = requests.call(call).await?
                {
                    return shown(&call, &snapshot.statuses, snapshot.at);
                }
                shown(&requests.carried(&id).await?, &snapshot.statuses, snapshot.at)
            }
        }
    }
}

/// The team's calls that were refused lately, newest first.
#[derive(Debug, Serialize)]
struct RefusalsView {
    refusals: Vec<Named<RefusedCall>>,
}

/// Views up to this size are given even to a team whose memory is taken: they may show why.
const SMALL_BYTES: usize = 64 * 1024;

/// Serializes a view. Unsafe characters in names are escaped; a stored answer stays as it came.
fn shown(
    view: &impl Serialize,
    statuses: &[LimitStatus],
    at: Timestamp,
) -> Result<Answer, Refusal> {
    let json = printable::to_json(view).map_err(|_| Refusal::Internal)?;
    let mut answer = Response::new(AnswerBody::new(json));
    let answer_headers = answer.headers_mut();
    answer_headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer_headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers::rate_limit_headers(&mut HeaderWriter::new(answer_headers), statuses, at);
    Ok(answer)
}
