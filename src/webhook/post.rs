//! One attempt: a POST with a timeout. The answer's body is not read, and no redirect is followed.

use std::future::ready;
use std::io;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;

use super::Settings;
use crate::https::{ExchangeError, HttpsClient, secret_header};

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// No answer came.
    #[error(transparent)]
    Unanswered(#[from] ExchangeError),
    /// The status was not 2xx.
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl PostError {
    /// Whether another attempt may help: not after a refusal, only after a temporary error.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unanswered(ExchangeError::Unreachable(_) | ExchangeError::Late) => true,
            Self::Status(status) => {
                let waits = [
                    StatusCode::REQUEST_TIMEOUT,
                    StatusCode::TOO_EARLY,
                    StatusCode::TOO_MANY_REQUESTS,
                ];
                status.is_server_error() || waits.contains(status)
            }
        }
    }
}

/// HTTP client of one webhook.
pub struct Post {
    client: HttpsClient<Full<Bytes>>,
    url: Uri,
    authorization: Option<HeaderValue>,
}

impl Post {
    /// A client that trusts the authorities of the settings, or the machine's.
    ///
    /// # Errors
    /// An authority is needed and there is none, or the authorization is not a valid header value.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let secure = settings.url.scheme() == Some(&Scheme::HTTPS);
        let client = HttpsClient::new(secure, settings.authorities.as_deref(), settings.timeout)?;
        let authorization = settings.authorization.as_ref().map(secret_header).transpose()?;
        Ok(Self { client, url: settings.url.clone(), authorization })
    }

    /// Sends once.
    ///
    /// # Errors
    /// Why it failed; [`PostError::may_pass`] says whether to try again.
    pub async fn send(&self, body: Bytes) -> Result<(), PostError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("moongate/", env!("CARGO_PKG_VERSION"))),
        );
        headers.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
        let judge = |status: StatusCode| {
            if status.is_success() { Ok(()) } else { Err(PostError::Status(status)) }
        };
        self.client.exchange(request, |answer| ready(judge(answer.status()))).await
    }
}
