//! The team's own views: what it may still spend, who it is here, what became of its calls, and what a call would cost.
//!
//! Reading order: [`reading`] (how the ledger is asked, and how often), [`query`] (what a view is asked for), [`views`]
//! (balance and `me`), [`generations`], [`requests`], [`usage`], [`quote`].

pub mod generations;
pub mod query;
pub mod quote;
pub mod reading;
pub mod requests;
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

use self::query::{Page, Period, Query};
use self::requests::Requests;
use crate::http::{Answer, AnswerBody, HeaderWriter};
use crate::idempotency::Replays;
use crate::identity::Principal;
use crate::ledger::{LimitStatus, headers};
use crate::printable;
use crate::refusal::Refusal;
use crate::request::Buffer;
use crate::request::route::Account;
use crate::team::Team;

/// A question of a known caller about its own team.
#[derive(Debug)]
pub struct Question {
    /// Which view.
    pub view: Account,
    /// What stands behind the `?`.
    pub query: Option<String>,
    /// Who asks.
    pub principal: Arc<Principal>,
    /// Of which team.
    pub team: Arc<Team>,
}

/// Answers the team's own views.
///
/// Reads: the ledger, what is remembered of calls. Writes: one reading of its user, in the ledger. Refuses:
/// `invalid_request`, `rate_limited`, `ledger_unavailable`, `request_not_found`, `overloaded`.
/// Position: a branch below authentication: whoever asks sees its own team and no other.
#[derive(Clone)]
pub struct Views {
    reading: Reading,
    replays: Replays,
    buffer: Buffer,
}

impl Views {
    /// Views of what is read here, and of what is remembered there; the buffer is the memory for answers on their way
    /// out.
    #[must_use]
    pub const fn new(reading: Reading, replays: Replays, buffer: Buffer) -> Self {
        Self { reading, replays, buffer }
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
    fn requests<'a>(&'a self, team: &'a Team) -> Requests<'a> {
        Requests { ledger: self.reading.ledger(), replays: &self.replays, team: &team.id }
    }

    /// A view; a large one, such as a kept answer, takes of the team's memory until it is read.
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
        match view {
            Account::Balance => {
                let books = reading.books(&principal, &team).await?;
                shown(&views::balance(&team, &books), &books.standings, books.at)
            }
            Account::Me => {
                let books = reading.books(&principal, &team).await?;
                shown(&views::me(&principal, &team, &books), &books.standings, books.at)
            }
            Account::Generations => {
                let page = Page::of(&query)?;
                let books = reading.books(&principal, &team).await?;
                let list = generations::list(reading.ledger(), &team, &page, books.at).await?;
                shown(&list, &books.standings, books.at)
            }
            Account::Usage => {
                let period = Period::of(&query)?;
                let books = reading.books(&principal, &team).await?;
                shown(&usage::of(reading.ledger(), &team, period, books.at).await?, &books.standings, books.at)
            }
            Account::Requests => {
                let books = reading.books(&principal, &team).await?;
                shown(&self.requests(&team).all().await?, &books.standings, books.at)
            }
            Account::Request(id) => {
                let books = reading.books(&principal, &team).await?;
                let requests = self.requests(&team);
                if let Some(call) = id.as_call_id()
                    && let Some(call) = requests.call(call).await?
                {
                    return shown(&call, &books.standings, books.at);
                }
                shown(&requests.carried(&id).await?, &books.standings, books.at)
            }
        }
    }
}

/// A view of this size is given also to a team whose memory is taken: it may tell why.
const SMALL_BYTES: usize = 64 * 1024;

/// A view as its answer. Names in it are written out where they would turn its text around; an answer that was kept
/// stands in it as it came.
fn shown(view: &impl Serialize, standings: &[LimitStatus], at: Timestamp) -> Result<Answer, Refusal> {
    let json = printable::to_json(view).map_err(|_| Refusal::Internal)?;
    let mut answer = Response::new(AnswerBody::new(json));
    let answer_headers = answer.headers_mut();
    answer_headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer_headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers::rate_limit_headers(&mut HeaderWriter::new(answer_headers), standings, at);
    Ok(answer)
}
