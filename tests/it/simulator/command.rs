//! `moongate simulate` as a process: what it prints, how it ends, and TLS.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::client::{CAT, exchange, request};

/// A running process; killed with the value if it still runs.
struct Process {
    child: Child,
    api: String,
    media: String,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_moongate"))
            .args([
                "simulate",
                "--address",
                "127.0.0.1:0",
                "--media-address",
                "127.0.0.1:0",
                "--latency",
                "0ms",
            ])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line =
            |start: &str| lines.next().unwrap().unwrap().strip_prefix(start).unwrap().to_owned();
        let (api, media) = (line("Firemoon simulator: "), line("Media: "));
        Self { child, api, media }
    }

    /// The API's host and port.
    fn address(&self) -> &str {
        self.api.split("//").nth(1).unwrap().strip_suffix("/api").unwrap()
    }

    fn terminate(&mut self) -> Option<i32> {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already when the test has ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn it_prints_its_two_addresses_serves_and_ends_when_told() {
    let mut process = Process::start(&[
        "--key",
        "ci=s3cret",
        "--requests-per-minute",
        "7",
        "--requests-per-day",
        "0",
        "--balance",
        "0.03",
    ]);
    assert!(
        process.api.starts_with("http://127.0.0.1:")
            && process.media.starts_with("http://127.0.0.1:")
    );
    let call = async || {
        let headers = [("authorization", "Bearer s3cret")];
        exchange(
            process.address(),
            request(process.address(), Method::POST, "/api/v1/flux/dev", &headers, CAT),
        )
        .await
        .unwrap()
    };
    let answer = call().await;
    assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (200, Some("7")));
    assert!(answer.json()["images"][0]["url"].as_str().unwrap().starts_with(&process.media));
    assert_eq!(call().await.status, 402, "0.03 is enough for one");
    assert_eq!(process.terminate(), Some(0));
}

#[tokio::test]
async fn a_key_in_an_unusual_form_is_never_shown() {
    for (key, bearer) in [
        ("s3cret==", "s3cret=="),
        ("=s3cret", "=s3cret"),
        ("a@b=s3cret", "s3cret"),
        ("@b=x", "@b=x"),
    ] {
        let process = Process::start(&["--key", key]);
        let headers = [("authorization", format!("Bearer {bearer}"))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let request = request(process.address(), Method::POST, "/api/v1/flux/dev", &headers, CAT);
        assert_eq!(exchange(process.address(), request).await.unwrap().status, 200, "{key}");
    }
}

#[tokio::test]
async fn it_serves_both_protocols_over_tls() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let process = Process::start(&[
        "--tls-cert",
        certificate.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ]);
    assert!(process.api.starts_with("https://"));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    for protocol in [b"h2".as_slice(), b"http/1.1"] {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut config = builder.with_root_certificates(roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(process.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream =
            tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        let answer = if protocol == b"h2" {
            let (mut sender, connection) =
                hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                    .handshake(TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            let request = http::Request::get("https://localhost/api/models")
                .body(Full::<Bytes>::default())
                .unwrap();
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
                .send_request(request("localhost", Method::GET, "/api/models", &[], ""))
                .await
                .unwrap()
        };
        assert_eq!(answer.status(), 200);
    }
}

#[test]
fn what_cannot_be_understood_is_a_usage_error() {
    for arguments in [
        ["--latency", "2s..1s"],
        ["--latency", "soon"],
        ["--balance", "-1"],
        ["--price", "flux/dev"],
        ["--tls-cert", "only.pem"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_moongate"))
            .arg("simulate")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
