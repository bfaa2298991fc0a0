//! The team's own views: what it may still spend, who it is here, and what became of its calls.

pub mod views;

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use tower::Service;

use crate::http::{Answer, AnswerBody};
use crate::identity::{Credential, Principal};
use crate::ledger::{Inquiry, Ledger, Level, Scope, headers};
use crate::refusal::Refusal;
use crate::replay::Replays;
use crate::request::route::Account;
use crate::team::Team;

/// A question of a known caller about its own team.
#[derive(Debug)]
pub struct Question {
    /// Which view.
    pub view: Account,
    /// Who asks.
    pub principal: Arc<Principal>,
    /// Of which team.
    pub team: Arc<Team>,
}

/// Answers the team's own views.
///
/// Reads: the ledger, what is remembered of calls. Writes: nothing. Refuses: `ledger_unavailable`, `request_not_found`.
/// Position: a branch below authentication: whoever asks sees its own team and no other.
#[derive(Clone)]
pub struct Views {
    ledger: Arc<dyn Ledger>,
    replays: Replays,
}

impl Views {
    /// Views of this ledger, and of what is remembered here.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, replays: Replays) -> Self {
        Self { ledger, replays }
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
        Box::pin(async move {
            let books = views.ledger.books(inquiry(&question)).await.map_err(|outage| {
                tracing::warn!(%outage, "the ledger could not be read");
                Refusal::LedgerUnavailable
            })?;
            let view = match &question.view {
                Account::Balance => serde_json::to_vec(&views::balance(&question.team, &books)),
                Account::Me => serde_json::to_vec(&views::me(&question.principal, &question.team, &books)),
                Account::Request(id) => Ok(views.replays.fetch(&question.team.id, id).await?.outcome()),
            };
            let mut answer = Response::new(AnswerBody::new(view.map_err(|_| Refusal::Internal)?));
            let answer_headers = answer.headers_mut();
            answer_headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            answer_headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            answer_headers.extend(headers::rate_limit_headers(&books.standings, books.at));
            Ok(answer)
        })
    }
}

fn inquiry(question: &Question) -> Inquiry {
    let Question { principal, team, .. } = question;
    let mut levels = vec![
        Level { scope: Scope::Team, limits: Arc::clone(&team.limits) },
        Level { scope: Scope::User(principal.user.clone()), limits: Arc::clone(&team.user_limits) },
    ];
    if let (Credential::Key(key), Some(limits)) = (&principal.credential, &principal.key_limits) {
        levels.push(Level { scope: Scope::Key(key.clone()), limits: Arc::clone(limits) });
    }
    Inquiry { team: team.id.clone(), levels, time_zone: team.time_zone.clone() }
}
