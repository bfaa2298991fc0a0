//! One try at telling the webhook: a POST, bounded in time; the answer's body is not read, and no redirect is followed.

use std::future::ready;
use std::io;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;

use super::Settings;
use crate::https::{ExchangeError, HttpsClient};

/// Why the webhook was not told.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// There was no answer.
    #[error(transparent)]
    Unanswered(#[from] ExchangeError),
    /// It answered something else than 2xx.
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl PostError {
    /// Whether trying again may help. A refusal is a refusal: only those that pass by themselves are worth it.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unanswered(ExchangeError::Unreachable(_) | ExchangeError::Late) => true,
            Self::Status(status) => {
                let waits = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
                status.is_server_error() || waits.contains(status)
            }
        }
    }
}

/// The way to one webhook.
pub struct Post {
    client: HttpsClient<Full<Bytes>>,
    url: Uri,
    authorization: Option<HeaderValue>,
}

impl Post {
    /// Prepares to tell, trusting the authorities of the settings, or those of the machine.
    ///
    /// # Errors
    /// There are none, and they will be needed; or the authorization cannot stand in a header.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let secure = settings.url.scheme() == Some(&Scheme::HTTPS);
        let client = HttpsClient::new(secure, settings.authorities.as_deref(), settings.timeout)?;
        let header = |secret: &crate::secret::Secret| {
            let mut value = HeaderValue::from_str(secret.expose()).map_err(io::Error::other)?;
            value.set_sensitive(true);
            Ok::<_, io::Error>(value)
        };
        let authorization = settings.authorization.as_ref().map(header).transpose()?;
        Ok(Self { client, url: settings.url.clone(), authorization })
    }

    /// Tells once.
    ///
    /// # Errors
    /// Says whether another try may help.
    pub async fn tell(&self, body: Bytes) -> Result<(), PostError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("moongate/", env!("CARGO_PKG_VERSION"))));
        headers.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
        let judge = |status: StatusCode| if status.is_success() { Ok(()) } else { Err(PostError::Status(status)) };
        self.client.exchange(request, |answer| ready(judge(answer.status()))).await
    }
}
