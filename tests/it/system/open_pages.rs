//! Everything that a thousand team pages ask when they open, all at once, beside paid calls.

use tokio::task::JoinSet;

use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::RedisServer;

const PAGES: usize = 1_000;
/// Pages that share a connection; a gateway takes up to 128 requests at once on each.
const BESIDE: usize = 100;
const CALLS: usize = 50;
/// What `src/pages/team/session.js` asks.
const ASKED: [&str; 6] = [
    "/gateway/v1/me",
    "/gateway/v1/usage?period=month",
    "/gateway/v1/usage?period=last_month",
    "/api/generations?limit=25&offset=0",
    "/gateway/v1/refusals",
    "/gateway/v1/requests",
];

#[tokio::test]
async fn a_thousand_opening_pages_refuse_and_stop_no_call() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon);
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let mut pages = JoinSet::new();
    for _ in 0..PAGES / BESIDE {
        let connection = Connection::open_http2(gateway.team()).await;
        for _ in 0..BESIDE {
            let mut page = connection.beside();
            let asked = ASKED.map(|path| Call::get(path).with(key));
            pages.spawn(async move {
                let mut statuses = Vec::new();
                for call in &asked {
                    statuses.push(page.send(call).await.status);
                }
                statuses
            });
        }
    }
    let mut caller = Connection::open(gateway.team()).await;
    for _ in 0..CALLS {
        assert_eq!(caller.send(&picture().with(key)).await.status, 200);
    }
    for statuses in pages.join_all().await {
        assert_eq!(statuses, [200; ASKED.len()], "every page is answered whole");
    }
    assert_eq!(firemoon.executed().await, CALLS as u64);
}
