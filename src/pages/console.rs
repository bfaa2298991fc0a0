//! The console: operators sign in with a token, and see and do what the API allows that token.

use std::sync::Arc;

use http::HeaderMap;

use super::asset::{Asset, SHARED, Served, VENDOR, assets};
use super::headers;
use crate::http::Answer;
use crate::refusal::Refusal;

/// The path on the operator's listener.
pub const PATH: &str = "/console";

/// Files of this page.
const CONSOLE: &[Asset] = assets!("console":
    "actions.js",
    "budgets.js",
    "call.js",
    "calls.js",
    "changes.js",
    "console.css",
    "dialog.js",
    "find.js",
    "health.js",
    "index.html",
    "key_actions.js",
    "keys.js",
    "levels.js",
    "loss.js",
    "main.js",
    "metrics.js",
    "overview.js",
    "queue.js",
    "refusals.js",
    "session.js",
    "shared_keys.js",
    "signin.js",
    "spend.js",
    "team.js",
    "teams.js",
    "words.js",
);

const INDEX: &str = "console/index.html";

/// The console and its files. Clones share them.
#[derive(Clone, Debug)]
pub struct Console(Arc<[Served]>);

impl Default for Console {
    fn default() -> Self {
        Self([VENDOR, SHARED, CONSOLE].into_iter().flatten().map(Served::new).collect())
    }
}

impl Console {
    /// Whether a path belongs to the console.
    #[must_use]
    pub fn has(path: &str) -> bool {
        path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers with the page or one of its files; `host` and `request_headers` are the caller's.
    ///
    /// # Errors
    /// `route_not_found`.
    pub fn answer(
        &self,
        path: &str,
        host: &str,
        request_headers: &HeaderMap,
    ) -> Result<Answer, Refusal> {
        let name = match path.strip_prefix(PATH) {
            Some("") => INDEX,
            Some(rest) if rest.strip_prefix('/') != Some(INDEX) => rest.trim_start_matches('/'),
            _ => return Err(Refusal::RouteNotFound),
        };
        let found = self.0.iter().find(|served| served.name() == name);
        let mut answer = found.ok_or(Refusal::RouteNotFound)?.answer(request_headers);
        headers::add(answer.headers_mut(), host);
        Ok(answer)
    }
}
