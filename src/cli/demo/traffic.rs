//! The demo's traffic: both teams call now and then, so that pages and boards have something to
//! show. One team keeps to its limits, the other runs into them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, Uri};
use http_body_util::Full;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::gateway::exchange;
use crate::secret::Secret;

/// Calls made in turn. Cheap models come more often, as people choose them.
const CALLS: [(&str, &str); 8] = [
    ("flux/schnell", "a lighthouse at dusk"),
    ("flux/dev", "a fox in a snowy forest"),
    ("flux/schnell", "terraced fields in the morning"),
    ("nano-banana", "a paper boat on a pond"),
    ("flux/schnell", "a night train through the mountains"),
    ("flux/dev", "an old harbour in the rain"),
    ("flux/schnell", "a hot-air balloon over dunes"),
    ("flux/pro", "a glasshouse full of ferns"),
];

/// A caller, and how often it calls.
pub(super) struct Caller {
    pub(super) key: Secret,
    pub(super) every: Duration,
}

/// Calls until stopped. Ignores the answers, which the gateway's own pages show.
pub(super) async fn run(team: SocketAddr, caller: Caller, stop: CancellationToken) {
    let mut next = tokio::time::interval(caller.every);
    for (model, prompt) in CALLS.into_iter().cycle() {
        if stop.run_until_cancelled(next.tick()).await.is_none() {
            return;
        }
        // Spawned, so that a slow picture does not delay the next call.
        if let Some((uri, request)) = call(team, &caller.key, model, prompt) {
            tokio::spawn(async move { exchange(&uri, request).await.is_ok() });
        }
    }
}

fn call(
    team: SocketAddr,
    key: &Secret,
    model: &str,
    prompt: &str,
) -> Option<(Uri, Request<Full<Bytes>>)> {
    let uri: Uri = format!("http://{team}/api/v1/{model}").parse().ok()?;
    let request = Request::post(uri.path())
        .header(HOST, team.to_string())
        .header(AUTHORIZATION, format!("Bearer {}", key.expose()))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(json!({ "prompt": prompt }).to_string())));
    Some((uri, request.ok()?))
}
