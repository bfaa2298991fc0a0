//! TLS on both sides: the upstream's certificate is always verified, the team listener offers
//! HTTP/2 and HTTP/1.1.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use moongate::simulator::{self, KeySettings, Latency, Limits, Simulator};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::spending::{spent, wide_limits};
use crate::support::authority::Authority;
use crate::support::firemoon::{SHARED_KEY, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;

/// A Firemoon with TLS; it ends when the value is dropped.
struct SecureFiremoon {
    address: String,
    stop: CancellationToken,
}

impl SecureFiremoon {
    async fn start(authority: &Authority) -> Self {
        let (chain, key) = authority.certificate();
        let (api, media) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let settings = simulator::Settings {
            keys: vec![KeySettings::new("shared", SHARED_KEY, Limits::NONE)],
            latency: Some(Latency::fixed(std::time::Duration::ZERO)),
            tls: Some(Arc::new(simulator::tls(chain, key).unwrap())),
            ..simulator::Settings::default()
        };
        let (address, stop) = (api.local_addr().unwrap().to_string(), CancellationToken::new());
        tokio::spawn(simulator::serve(Simulator::new(settings), api, media, stop.clone()));
        Self { address, stop }
    }

    /// The versions of HTTP in which it was called.
    fn versions(&self, authority: &Authority) -> Vec<String> {
        let books = curl(authority, &[&format!("https://{}/_simulator/books", self.address)]);
        let books: Value = serde_json::from_str(&books).unwrap();
        let calls =
            books["calls"].as_array().unwrap().iter().filter(|call| call["method"] == "POST");
        calls.map(|call| call["version"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for SecureFiremoon {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn curl(authority: &Authority, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    let done = command
        .args(["--silent", "--show-error", "--cacert", &authority.file("ca.pem")])
        .args(arguments)
        .output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn installation(firemoon: &SecureFiremoon) -> Installation {
    let installation = Installation::before_url(&format!("https://{}/api", firemoon.address));
    installation.set("/teams/design/limits", wide_limits())
}

/// A configured version is used instead.
#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_upstreams_http_version_is_negotiated() {
    let authority = Authority::new();
    for (protocol, version) in [("auto", "HTTP/2.0"), ("http1", "HTTP/1.1"), ("http2", "HTTP/2.0")]
    {
        let firemoon = SecureFiremoon::start(&authority).await;
        let installation = installation(&firemoon)
            .set("/upstream/ca_file", json!(authority.file("ca.pem")))
            .set("/upstream/protocol", json!(protocol));
        let gateway = Gateway::serve(&installation).await;
        for _ in 0..3 {
            assert_eq!(
                gateway.send(&picture().with(installation.key("design"))).await.status,
                200,
                "{protocol}"
            );
        }
        assert_eq!(firemoon.versions(&authority), vec![version; 3], "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_upstream_gets_and_costs_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let firemoon = SecureFiremoon::start(&authority).await;
    for trusted in [None, Some(stranger.file("ca.pem"))] {
        let mut installation = installation(&firemoon);
        installation.change("/upstream/ca_file", json!(trusted));
        let gateway = Gateway::serve(&installation).await;
        let key = installation.key("design");
        let refused = gateway.send(&picture().with(key)).await;
        assert_eq!(refused.refusal(), (502, "upstream_unreachable".to_owned()));
        assert_eq!(
            spent(&gateway, key, "team:credits_total").await,
            ("0".to_owned(), "0".to_owned())
        );
    }
    assert_eq!(firemoon.versions(&authority), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_team_listener_offers_http2_and_http1_over_tls() {
    let authority = Authority::new();
    let firemoon = SecureFiremoon::start(&authority).await;
    let installation = installation(&firemoon)
        .set("/upstream/ca_file", json!(authority.file("ca.pem")))
        .set("/listen/tls", authority.listener());
    let gateway = Gateway::serve(&installation).await;
    let (url, key) =
        (format!("https://{}/api/v1/flux/dev", gateway.team()), installation.key("design"));
    for (version, spoken) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let bearer = format!("Authorization: Bearer {key}");
        let arguments =
            [version, "-o", &authority.file("answer"), "-w", "%{http_code} %{http_version}"]
                .map(str::to_owned);
        let request = [
            "-H",
            &bearer,
            "-H",
            "Content-Type: application/json",
            "-d",
            "{\"prompt\":\"x\"}",
            &url,
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(request).collect();
        assert_eq!(curl(&authority, &arguments), format!("200 {spoken}"));
    }
    assert!(Path::new(&authority.file("answer")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_a_caller_still_sending_reads_the_refusal() {
    let authority = Authority::new();
    let firemoon = SecureFiremoon::start(&authority).await;
    let gateway =
        Gateway::serve(&installation(&firemoon).set("/listen/tls", authority.listener())).await;
    let connector = authority.connector();
    let body = vec![b' '; 4_000_000];
    for connection in ["keep-alive", "close"] {
        let stream = TcpStream::connect(gateway.team()).await.unwrap();
        let mut stream = connector.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
        let head = "POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\ncontent-length: 4000000\r\n";
        stream
            .write_all(format!("{head}connection: {connection}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        stream.write_all(&body).await.unwrap();
        stream
            .write_all(b"GET /nowhere HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        // What the library still holds is sent by no reading.
        stream.flush().await.unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        assert!(
            answers.starts_with("HTTP/1.1 401 ") && answers.contains("credential_missing"),
            "{answers}"
        );
        assert_eq!(answers.contains("HTTP/1.1 404 "), connection == "keep-alive", "{answers}");
    }
    let (large, url) =
        (authority.file("large"), format!("https://{}/api/v1/flux/dev", gateway.team()));
    std::fs::write(&large, body).unwrap();
    for version in ["--http2", "--http1.1"] {
        let (data, answer) = (format!("@{large}"), authority.file("answer"));
        let to =
            ["-H", "Expect:", "--data-binary", &data, "-o", &answer, "-w", "%{http_code}", &url];
        assert_eq!(curl(&authority, &[&[version], to.as_slice()].concat()), "401", "{version}");
    }
}
