//! Metrics and warnings before something expires: the listener's certificate, which is renewed
//! while running, and gateway keys.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::authority::Authority;
use crate::support::firemoon::Firemoon;
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{change, make_key, with_operators};
use crate::support::redis::wait_until;

const CERTIFICATE: &str = "moongate_certificate_expiry_timestamp_seconds";

/// Whether the gateway shows a certificate that this authority vouches for.
async fn is_trusted(gateway: &Gateway, authority: &Authority) -> bool {
    let stream = TcpStream::connect(gateway.team()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    authority.connector().connect(name, stream).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/listen/tls", old.listener());
    let gateway = Gateway::serve(&installation).await;
    assert!(is_trusted(&gateway, &old).await && !is_trusted(&gateway, &new).await);
    let ends: Timestamp = "4096-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(gateway.metric(CERTIFICATE).await, Some(ends.as_duration().as_secs_f64()));

    // A certificate without its key is no certificate: the old one stays.
    fs::copy(new.file("tls.crt"), old.file("tls.crt")).unwrap();
    let reloaded = "moongate_config_last_reload_success";
    wait_until("the half is refused", || async { gateway.metric(reloaded).await == Some(0.0) })
        .await;
    assert!(is_trusted(&gateway, &old).await && !is_trusted(&gateway, &new).await);
    wait_until("the log says why", || async {
        let line = gateway.line("the configuration was not reloaded: the old one stays");
        let why = line.map(|line| line["problems"].as_str().unwrap_or_default().to_owned());
        why.is_some_and(|why| why.starts_with("listen.tls cannot be used"))
    })
    .await;

    fs::copy(new.file("tls.key"), old.file("tls.key")).unwrap();
    wait_until("the new one is shown", || async { is_trusted(&gateway, &new).await }).await;
    assert!(!is_trusted(&gateway, &old).await);
    assert_eq!(gateway.metric(reloaded).await, Some(1.0));
}

#[tokio::test]
async fn a_teams_next_expiring_key_has_its_time_in_metrics() {
    let firemoon = Firemoon::start();
    let mut installation = with_operators(Installation::before(&firemoon));
    let day = |days: i64| {
        let at = Timestamp::now() + SignedDuration::from_hours(24 * days);
        Timestamp::from_second(at.as_second()).unwrap()
    };
    let (first, second, past) = (day(3), day(30), day(-1));
    for (name, at) in [("later", second), ("gone", past)] {
        installation
            .add_key(name, json!({ "team": "design", "name": name, "expires_at": at.to_string() }));
    }
    let gateway = Gateway::serve(&installation).await;
    let shown = async |team: &str| {
        gateway.metric(&format!("moongate_key_expiry_timestamp_seconds{{team=\"{team}\"}}")).await
    };
    let seconds = |at: Timestamp| Some(at.as_duration().as_secs_f64());
    wait_until("a key of the file", || async { shown("design").await == seconds(second) }).await;
    assert_eq!(shown("growth").await, Some(f64::INFINITY));
    assert_eq!(gateway.metric(CERTIFICATE).await, Some(f64::INFINITY));

    let sooner = json!({ "team": "design", "name": "ci", "expires_at": first.to_string() });
    let (_, id) = make_key(&gateway, sooner).await;
    wait_until("a key that was made", || async { shown("design").await == seconds(first) }).await;
    change(&gateway, &format!("/admin/v1/keys/{id}/revoke"), json!({})).await;
    wait_until("it is revoked", || async { shown("design").await == seconds(second) }).await;
}
