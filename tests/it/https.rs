//! Issuers, webhooks and collectors behind a private certificate authority: `ca_file` is trusted,
//! instead of the machine's and for them alone.

use std::sync::Arc;
use std::time::Duration;

use moongate::https::ExchangeError;
use moongate::identity::fetch::{FetchError, Fetcher};
use moongate::webhook::Settings;
use moongate::webhook::post::{Post, PostError};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::support::authority::Authority;
use crate::support::collector::Collector;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::{Installation, claims};
use crate::support::redis::wait_until;
use crate::support::tokens::{SigningKey, key_set};

const BODY: &str = r#"{"keys":[]}"#;

/// An authority, as PEM, and a server with a certificate of it; the server ends with the value.
struct Secure {
    authority: Arc<[u8]>,
    url: String,
    task: JoinHandle<()>,
}

impl Secure {
    async fn start() -> Self {
        Self::answering(BODY).await
    }

    async fn answering(body: &str) -> Self {
        let authority = Authority::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/jwks", listener.local_addr().unwrap().port());
        let task = tokio::spawn(serve(listener, authority.acceptor(), body.into()));
        Self { authority: authority.pem(), url, task }
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers any request; a client that does not trust it never gets that far.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, body: Arc<str>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, body) = (acceptor.clone(), Arc::clone(&body));
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read_buf(&mut request).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        });
    }
}

/// Another private authority and the machine's own are not taken.
#[tokio::test]
async fn keys_are_fetched_only_under_the_issuers_authority() {
    let (ours, theirs) = (Secure::start().await, Secure::start().await);
    let fetcher =
        Fetcher::new(true, Some(Arc::clone(&ours.authority)), Duration::from_secs(60)).unwrap();
    assert_eq!(fetcher.get(&ours.url).await.unwrap(), BODY);
    let refused = fetcher.get(&theirs.url).await;
    let Err(FetchError::Unreachable(why)) = &refused else { panic!("{refused:?}") };
    assert!(why.contains("invalid peer certificate"), "{why}");
    // The machine's authorities are others, where it has any.
    if let Ok(machine) = Fetcher::new(true, None, Duration::from_secs(60)) {
        assert!(matches!(machine.get(&ours.url).await, Err(FetchError::Unreachable(_))));
    }
    assert!(
        Fetcher::new(true, Some(Arc::from(&b"no certificate"[..])), Duration::from_secs(60))
            .is_err()
    );
}

#[tokio::test]
async fn a_webhook_behind_another_authority_is_not_called() {
    let (ours, theirs) = (Secure::start().await, Secure::start().await);
    let post = |url: &str| {
        Post::new(&Settings {
            url: url.parse().unwrap(),
            authorization: None,
            authorities: Some(Arc::clone(&ours.authority)),
            timeout: Duration::from_secs(60),
            first_pause: Settings::FIRST_PAUSE,
        })
        .unwrap()
    };
    post(&ours.url).send("{}".into()).await.unwrap();
    assert!(matches!(
        post(&theirs.url).send("{}".into()).await,
        Err(PostError::Unanswered(ExchangeError::Unreachable(_)))
    ));
}

#[tokio::test]
async fn a_gateway_fetches_keys_under_the_configured_authority() {
    let keys = key_set(&[SigningKey::rsa(0)]);
    let (ours, theirs, firemoon) =
        (Secure::answering(&keys).await, Secure::answering(&keys).await, Firemoon::start());
    let mut installation = Installation::before(&firemoon);
    std::fs::write(installation.folder().join("issuer-ca.pem"), &ours.authority).unwrap();
    let issuer = |name: &str, server: &Secure| {
        let mut issuer = installation.value("/identity/issuers/0").clone();
        issuer["issuer"] = json!(name);
        issuer["jwks"] = json!({ "url": server.url });
        issuer["ca_file"] = json!("issuer-ca.pem");
        issuer
    };
    let names = ["https://ours.example.com", "https://theirs.example.com"];
    let issuers = json!([issuer(names[0], &ours), issuer(names[1], &theirs)]);
    installation.change("/identity/issuers", issuers);
    let gateway = Gateway::serve(&installation).await;
    let [ours, theirs] = names.map(|name| {
        let mut claims = claims("ann");
        claims["iss"] = json!(name);
        picture().with(&SigningKey::rsa(0).token(&claims))
    });
    wait_until("the keys are here", || async { gateway.send(&ours).await.status == 200 }).await;
    wait_until("the other issuer was asked", || async {
        let failed =
            format!("moongate_jwks_refreshes_total{{issuer=\"{}\",result=\"failed\"}}", names[1]);
        gateway.metric(&failed).await >= Some(1.0)
    })
    .await;
    assert_eq!(gateway.send(&theirs).await.refusal(), (503, "identity_unavailable".to_owned()));
}

#[tokio::test]
async fn traces_go_only_to_a_collector_of_the_configured_authority() {
    let firemoon = Firemoon::start();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (ours, theirs) = (Collector::secure(&authority).await, Collector::secure(&stranger).await);
    let serve = async |collector: &Collector| {
        let otlp = json!({ "endpoint": collector.endpoint(), "ca_file": authority.file("ca.pem") });
        let installation = Installation::before(&firemoon).set("/telemetry/otlp", otlp);
        let gateway = Gateway::serve(&installation).await;
        let call = picture().with(installation.key("design"));
        assert_eq!(gateway.send(&call).await.status, 200);
        gateway
    };
    let trusting = serve(&ours).await;
    wait_until("the spans arrive", || async { !ours.spans().is_empty() }).await;
    assert!(trusting.stop().await.success());

    let mut wary = serve(&theirs).await;
    // Who stops makes one more attempt, and does not wait for another.
    wary.signal("-TERM");
    let lost = "traces are lost: the collector does not take them";
    let line = wary.line_written(lost, |_| true).await;
    assert!(line["error"].as_str().unwrap().contains("invalid peer certificate"), "{line}");
    assert!(wary.ended().await.success());
    assert!(theirs.received().is_empty());
}
