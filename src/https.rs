//! HTTPS client for what the gateway fetches and posts itself: issuers' key sets, the webhook's
//! notices, traces.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::secret::Secret;
use crate::trust;

/// How long a connection is kept for the next exchange: shorter than servers keep it.
const KEPT: Duration = Duration::from_secs(4);

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No connection, no TLS, or no HTTP.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// Took too long.
    #[error("it did not answer in time")]
    Late,
}

/// HTTP/1.1 over TLS, or in the clear where the address is `http`. Follows no redirect.
pub struct HttpsClient<B> {
    client: Client<HttpsConnector<HttpConnector>, B>,
    time: Duration,
}

impl<B> HttpsClient<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    /// A client that trusts the authorities of a PEM text, or those of the machine, and takes at
    /// most `time` for one exchange.
    ///
    /// # Errors
    /// `secure` says that TLS is needed and there is no authority.
    pub fn new(secure: bool, authorities: Option<&[u8]>, time: Duration) -> io::Result<Self> {
        // Exchanges are minutes apart: a kept connection would be stale.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).to_owned();
        Self::build(&client, secure, authorities, time)
    }

    /// The same, for exchanges that come one after the other: keeps its connection for a while.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn keeping(secure: bool, authorities: Option<&[u8]>, time: Duration) -> io::Result<Self> {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .pool_max_idle_per_host(1)
            .to_owned();
        Self::build(&client, secure, authorities, time)
    }

    fn build(
        client: &Builder,
        secure: bool,
        authorities: Option<&[u8]>,
        time: Duration,
    ) -> io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        // Shared by all addresses of a name: a dead one leaves time for the next, and for the
        // answer.
        connector.set_connect_timeout(Some(time / 2));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust::client_config(secure, authorities)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self { client: client.build(connector), time })
    }

    /// Sends a request and hands its answer to `read`; both must end within the time.
    ///
    /// # Errors
    /// Errors of `read`, and of an exchange without an answer.
    pub async fn exchange<T, E, F>(
        &self,
        request: Request<B>,
        read: impl FnOnce(Response<Incoming>) -> F,
    ) -> Result<T, E>
    where
        E: From<ExchangeError>,
        F: Future<Output = Result<T, E>>,
    {
        let exchange = async {
            let answer = self.client.request(request).await;
            read(answer.map_err(|error| ExchangeError::Unreachable(causes(&error)))?).await
        };
        tokio::time::timeout(self.time, exchange).await.map_err(|_| ExchangeError::Late)?
    }
}

/// A secret as the value of a header, which no log shows.
///
/// # Errors
/// It is not one line of visible characters.
pub fn secret_header(secret: &Secret) -> io::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose()).map_err(io::Error::other)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A pause before another attempt, at random from half of this to all: replicas that failed
/// together do not come back together.
#[must_use]
pub fn between_half_and_all(pause: Duration) -> Duration {
    let mut random = [0; 1];
    // A failure is ignored: replicas then retry together, which only makes a burst.
    let _ = getrandom::fill(&mut random);
    pause / 2 + pause * u32::from(random[0]) / 512
}

/// An error with its causes: by itself it only says that connecting failed.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
