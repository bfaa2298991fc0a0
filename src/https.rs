//! The gateway's own HTTPS client, for the key sets of issuers and for the webhook: whom it trusts and how long it
//! waits.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::trust;

/// Why there was no exchange.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No connection, no TLS, or no HTTP.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("it did not answer in time")]
    Late,
}

/// Speaks HTTP/1.1 over TLS, and without TLS where the address says `http`. Follows no redirect.
pub struct HttpsClient<B> {
    client: Client<HttpsConnector<HttpConnector>, B>,
    time: Duration,
}

impl<B> HttpsClient<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    /// A client that trusts the authorities of a PEM text, or those of the machine, and takes no longer than `time` for
    /// one exchange.
    ///
    /// # Errors
    /// There is no authority, and `secure` says that one will be needed.
    pub fn new(secure: bool, authorities: Option<&[u8]>, time: Duration) -> io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        // Shared by the addresses of a name: a dead one leaves time for the next, and for the answer.
        connector.set_connect_timeout(Some(time / 2));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust::client_config(secure, authorities)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        // Minutes lie between two exchanges: a kept connection would only go stale.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, time })
    }

    /// Sends a request and hands its answer to `read`, all of it within the time.
    ///
    /// # Errors
    /// Those of `read`, and that there is no answer to read.
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

/// An error with what caused it: the first one alone says no more than that connecting failed.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
