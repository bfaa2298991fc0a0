//! A scrape as Prometheus asks for it: the newer format with exemplars, compressed, or neither.

use std::collections::BTreeSet;
use std::io::Read;

use crate::support::caller::{Call, Reply};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";

async fn scrape(gateway: &Gateway, headers: &[(&'static str, &str)]) -> Reply {
    let call =
        headers.iter().fold(Call::get("/metrics"), |call, (name, value)| call.header(name, value));
    call.send_uninspected(gateway.operator()).await
}

/// The series of a text, without values and exemplars.
fn series(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let without = lines.map(|line| line.split_once(" # ").map_or(line, |(sample, _)| sample));
    without.map(|sample| sample.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[tokio::test]
async fn a_scrape_has_the_format_and_coding_it_asks_for() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let call = picture().header("traceparent", &parent).with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);

    let plain = scrape(&gateway, &[]).await;
    let kind = plain.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    assert!(!plain.text().contains("# EOF") && !plain.text().contains("trace_id"));

    let open = scrape(&gateway, &[("accept", OPEN_METRICS)]).await;
    let kind = open.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let text = open.text();
    assert!(text.ends_with("\n# EOF\n"));
    assert_eq!(series(text), series(plain.text()), "a format changes no series");
    for histogram in ["http_request_duration_seconds", "team_request_duration_seconds"] {
        let start = format!("moongate_{histogram}_bucket{{");
        let traced = format!(" # {{trace_id=\"{TRACE}\"}} ");
        let found = text.lines().filter(|line| line.starts_with(&start) && line.contains(&traced));
        assert_eq!(found.count(), 1, "{histogram}: {text}");
    }
    assert!(text.contains("tokio_alive_tasks{runtime=\"worker-0\"} "), "{text}");

    let zipped = scrape(&gateway, &[("accept-encoding", "br, gzip;q=0.8")]).await;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*zipped.body).read_to_string(&mut text).unwrap();
    assert_eq!(series(&text), series(plain.text()));
    assert!(zipped.body.len() * 4 < text.len(), "{} of {}", zipped.body.len(), text.len());
    let refused = scrape(&gateway, &[("accept-encoding", "gzip;q=0")]).await;
    assert_eq!(refused.header("content-encoding"), None);
}
