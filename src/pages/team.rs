//! The team page: members sign in with the team's credential, and see its budget, spend and calls.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use super::asset::{Asset, SHARED, Served, VENDOR, assets};
use super::headers;
use crate::http::Answer;
use crate::refusal::Refusal;
use crate::request::lookup::Visit;
use crate::request::route::Page;

/// Files of this page.
const TEAM: &[Asset] = assets!("team":
    "calls.js",
    "generate.js",
    "history.js",
    "index.html",
    "kept.js",
    "limits.js",
    "main.js",
    "media.js",
    "open.js",
    "quote.js",
    "session.js",
    "signin.js",
    "snippets.js",
    "spend.js",
    "words.js",
);

const INDEX: &str = "team/index.html";

/// Answers with the team page and its files.
///
/// Reads: the host name, and which copy the caller has. Writes: nothing, and asks no store.
/// Refuses: `route_not_found`. Position: a branch beside the catalogue; the page itself sends the
/// credential with its calls.
#[derive(Clone, Debug)]
pub struct Pages(Arc<[Served]>);

impl Pages {
    /// The team page.
    #[must_use]
    pub fn of_a_team() -> Self {
        Self([VENDOR, SHARED, TEAM].into_iter().flatten().map(Served::new).collect())
    }

    fn answer(
        &self,
        Visit { page, host, headers: request_headers }: &Visit,
    ) -> Result<Answer, Refusal> {
        let name = match page {
            Page::Team => INDEX,
            Page::File(name) if name == INDEX => return Err(Refusal::RouteNotFound),
            Page::File(name) => name,
        };
        let found = self.0.iter().find(|served| served.name() == name);
        let mut answer = found.ok_or(Refusal::RouteNotFound)?.answer(request_headers);
        headers::add(answer.headers_mut(), host);
        Ok(answer)
    }
}

impl Service<Visit> for Pages {
    type Response = Answer;
    type Error = Refusal;
    type Future = Ready<Result<Answer, Refusal>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, visit: Visit) -> Self::Future {
        ready(self.answer(&visit))
    }
}
