//! TLS on both sides: the upstream's certificate is always verified, the team listener offers HTTP/2 and HTTP/1.1.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use moongate::simulator::{self, KeySettings, Latency, Limits, Simulator};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::books::{spent, wide_limits};
use crate::support::firemoon::{SHARED_KEY, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;

/// An authority, and a certificate of it for this machine.
struct Authority {
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        // Another name than the server's: OpenSSL takes issuer and subject of one name for a self-signed certificate.
        authority.distinguished_name.push(DnType::CommonName, "an authority of this test");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = authority.self_signed(&key).unwrap();
        let issuer = Issuer::new(authority, key);
        let server_key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let server = server.signed_by(&server_key, &issuer).unwrap();
        for (name, text) in [("ca.pem", own.pem()), ("tls.crt", server.pem()), ("tls.key", server_key.serialize_pem())]
        {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

/// A Firemoon that speaks TLS; it ends with the value.
struct SecureFiremoon {
    address: String,
    stop: CancellationToken,
}

impl SecureFiremoon {
    async fn start(authority: &Authority) -> Self {
        let chain = CertificateDer::pem_file_iter(authority.file("tls.crt")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(authority.file("tls.key")).unwrap();
        let (api, media) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
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
        let calls = books["calls"].as_array().unwrap().iter().filter(|call| call["method"] == "POST");
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
    let done =
        command.args(["--silent", "--show-error", "--cacert", &authority.file("ca.pem")]).args(arguments).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn installation(firemoon: &SecureFiremoon) -> Installation {
    let installation = Installation::before_url(&format!("https://{}/api", firemoon.address));
    installation.set("/teams/design/limits", wide_limits())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_upstream_is_spoken_to_in_the_http_that_it_offers_or_that_is_configured() {
    let authority = Authority::new();
    for (protocol, version) in [("auto", "HTTP/2.0"), ("http1", "HTTP/1.1"), ("http2", "HTTP/2.0")] {
        let firemoon = SecureFiremoon::start(&authority).await;
        let installation = installation(&firemoon)
            .set("/upstream/ca_file", json!(authority.file("ca.pem")))
            .set("/upstream/protocol", json!(protocol));
        let gateway = Gateway::serve(&installation).await;
        for _ in 0..3 {
            assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200, "{protocol}");
        }
        assert_eq!(firemoon.versions(&authority), vec![version; 3], "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_whose_certificate_is_not_trusted_gets_nothing_and_costs_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let firemoon = SecureFiremoon::start(&authority).await;
    for trusted in [None, Some(stranger.file("ca.pem"))] {
        let mut installation = installation(&firemoon);
        installation.change("/upstream/ca_file", json!(trusted));
        let gateway = Gateway::serve(&installation).await;
        let key = installation.key("design");
        let refused = gateway.send(&picture().with(key)).await;
        assert_eq!(refused.refusal(), (502, "upstream_unreachable".to_owned()));
        assert_eq!(spent(&gateway, key, "team:credits_total").await, ("0".to_owned(), "0".to_owned()));
    }
    assert_eq!(firemoon.versions(&authority), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_team_listener_offers_http2_and_http1_over_tls() {
    let authority = Authority::new();
    let firemoon = SecureFiremoon::start(&authority).await;
    let tls = json!({ "cert": { "file": authority.file("tls.crt") }, "key": { "file": authority.file("tls.key") } });
    let installation =
        installation(&firemoon).set("/upstream/ca_file", json!(authority.file("ca.pem"))).set("/listen/tls", tls);
    let gateway = Gateway::serve(&installation).await;
    let (url, key) = (format!("https://{}/api/v1/flux/dev", gateway.team()), installation.key("design"));
    for (version, spoken) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let bearer = format!("Authorization: Bearer {key}");
        let arguments = [
            version,
            "-o",
            authority.folder.path().join("answer").to_str().unwrap(),
            "-w",
            "%{http_code} %{http_version}",
        ]
        .map(str::to_owned);
        let request = ["-H", &bearer, "-H", "Content-Type: application/json", "-d", "{\"prompt\":\"x\"}", &url];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(request).collect();
        assert_eq!(curl(&authority, &arguments), format!("200 {spoken}"));
    }
    assert!(Path::new(&authority.file("answer")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_too_a_caller_that_still_sends_reads_the_whole_refusal() {
    let authority = Authority::new();
    let firemoon = SecureFiremoon::start(&authority).await;
    let tls = json!({ "cert": { "file": authority.file("tls.crt") }, "key": { "file": authority.file("tls.key") } });
    let gateway = Gateway::serve(&installation(&firemoon).set("/listen/tls", tls)).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.file("ca.pem")).unwrap()).unwrap();
    let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let body = vec![b' '; 4_000_000];
    for connection in ["keep-alive", "close"] {
        let stream = TcpStream::connect(gateway.team()).await.unwrap();
        let mut stream = connector.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
        let head = "POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\ncontent-length: 4000000\r\n";
        stream.write_all(format!("{head}connection: {connection}\r\n\r\n").as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        stream.write_all(b"GET /nowhere HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        // What the library still holds is sent by no reading.
        stream.flush().await.unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        assert!(answers.starts_with("HTTP/1.1 401 ") && answers.contains("credential_missing"), "{answers}");
        assert_eq!(answers.contains("HTTP/1.1 404 "), connection == "keep-alive", "{answers}");
    }
    let (large, url) = (authority.file("large"), format!("https://{}/api/v1/flux/dev", gateway.team()));
    std::fs::write(&large, body).unwrap();
    for version in ["--http2", "--http1.1"] {
        let (data, answer) = (format!("@{large}"), authority.file("answer"));
        let to = ["-H", "Expect:", "--data-binary", &data, "-o", &answer, "-w", "%{http_code}", &url];
        assert_eq!(curl(&authority, &[&[version], to.as_slice()].concat()), "401", "{version}");
    }
}
