//! What is fetched from an issuer is bounded, whatever the issuer does.

use std::time::Duration;

use moongate::identity::fetch::{FetchError, Fetcher};

use crate::support::authenticators::eventually;
use crate::support::issuer::{Answer, IssuerServer};

#[tokio::test]
async fn a_fetch_is_bounded_in_time_and_size() {
    let server = IssuerServer::start().await;
    let fetcher = Fetcher::new(false, None, Duration::from_secs(1)).expect("fetcher");
    server.answer("/silent", Answer::Silence);
    assert!(matches!(fetcher.get(&server.url("/silent")).await, Err(FetchError::Late)));
    let nothing = fetcher.get(&server.url("/nothing")).await;
    assert!(matches!(nothing, Err(FetchError::Status(status)) if status == 404));
    server.answer("/large", Answer::Ok(vec![b' '; (1 << 20) + 1].into()));
    assert!(matches!(fetcher.get(&server.url("/large")).await, Err(FetchError::Body)));
    let url = server.url("/jwks");
    drop(server);
    eventually("the port to be closed", || {
        std::net::TcpStream::connect(&url[7..url.len() - 5]).is_err()
    })
    .await;
    assert!(matches!(fetcher.get(&url).await, Err(FetchError::Unreachable(_))));
}
