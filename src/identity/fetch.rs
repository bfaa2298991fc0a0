//! Fetches a key set with one GET: bounded in size and time, no redirects, plain http only to this
//! machine.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue, USER_AGENT};
use http::uri::Scheme;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::keyset::BYTES_MAX;
use super::strict;
use crate::https::{ExchangeError, HttpsClient};
use crate::printable::Printable;

/// How long one fetch may take, from the connection to the last byte.
pub const FETCH_TIME: Duration = Duration::from_secs(5);

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is not allowed.
    #[error(transparent)]
    Url(#[from] UnsafeUrl),
    /// No connection, no TLS, or no HTTP.
    #[error("the issuer cannot be reached: {0}")]
    Unreachable(String),
    /// Any status but 200. A redirect is not followed, since it would let someone else supply keys.
    #[error("the issuer answered {0}")]
    Status(StatusCode),
    /// Compressed without being asked.
    #[error("the issuer answered in an encoding that was not asked for")]
    Encoded,
    /// The body broke off, or is larger than a key set may be.
    #[error("the issuer's answer is cut short or larger than 1 MiB")]
    Body,
    /// Took longer than [`FETCH_TIME`].
    #[error("the issuer did not answer in time")]
    Late,
    /// The discovery document is malformed, or has no key set.
    #[error("the issuer's discovery document is no JSON object with an issuer and a jwks_uri")]
    Discovery,
    /// The discovery document is another issuer's (OpenID Connect Discovery 1.0, section 4.3).
    #[error(
        "the discovery document is of another issuer: configured is {configured:?}, \
         it says {found:?}"
    )]
    AnotherIssuer {
        /// The issuer of the configuration.
        configured: String,
        /// The issuer of the document.
        found: String,
    },
}

impl From<ExchangeError> for FetchError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Unreachable(why) => Self::Unreachable(why),
            ExchangeError::Late => Self::Late,
        }
    }
}

/// The URL is neither https nor http to this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an https URL without a user name (plain http only to this machine)")]
pub struct UnsafeUrl;

/// Parses a URL that is safe to fetch: https with a host and without a user name, or http to a
/// loopback address.
pub fn safe_url(text: &str) -> Result<Uri, UnsafeUrl> {
    let uri: Uri = text.parse().map_err(|_| UnsafeUrl)?;
    let authority = uri.authority().ok_or(UnsafeUrl)?;
    let host = authority.host();
    let safe_scheme = uri.scheme() == Some(&Scheme::HTTPS)
        || uri.scheme() == Some(&Scheme::HTTP) && is_loopback(host);
    if safe_scheme && !host.is_empty() && !authority.as_str().contains('@') {
        Ok(uri)
    } else {
        Err(UnsafeUrl)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Fetches key sets and discovery documents.
pub struct Fetcher {
    client: HttpsClient<Empty<Bytes>>,
    secure: bool,
    authorities: Option<Arc<[u8]>>,
}

impl Fetcher {
    /// A fetcher that trusts these certificate authorities, or the machine's. Fails if there are
    /// none and `secure` says that they are needed.
    pub fn new(secure: bool, authorities: Option<Arc<[u8]>>, time: Duration) -> io::Result<Self> {
        let client = HttpsClient::new(secure, authorities.as_deref(), time)?;
        Ok(Self { client, secure, authorities })
    }

    /// Whether it has these settings already.
    #[must_use]
    pub fn serves(&self, secure: bool, authorities: Option<&[u8]>) -> bool {
        (self.secure || !secure) && self.authorities.as_deref() == authorities
    }

    /// Fetches a URL.
    pub async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        self.client.exchange(request(safe_url(url)?), read).await
    }

    /// Discovers where an issuer's keys are, and fetches them.
    pub async fn discover(&self, issuer: &str) -> Result<Bytes, FetchError> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document = strict::object(&self.get(&url).await?).ok_or(FetchError::Discovery)?;
        let text = |member: &str| {
            document.get(member).and_then(Value::as_str).ok_or(FetchError::Discovery)
        };
        let (found, keys) = (text("issuer")?, text("jwks_uri")?);
        if found != issuer {
            let found = Printable::short(found).to_string();
            return Err(FetchError::AnotherIssuer { configured: issuer.to_owned(), found });
        }
        self.get(keys).await
    }
}

fn request(uri: Uri) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("moongate/", env!("CARGO_PKG_VERSION"))),
    );
    request
}

async fn read(answer: Response<Incoming>) -> Result<Bytes, FetchError> {
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status()));
    }
    if answer.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(FetchError::Encoded);
    }
    let body = Limited::new(answer.into_body(), BYTES_MAX)
        .collect()
        .await
        .map_err(|_| FetchError::Body)?;
    Ok(body.to_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    #[test]
    fn only_https_is_fetched_except_from_this_machine() {
        for good in [
            "https://sso.example.com/jwks?x=1",
            "https://sso.example.com:8443",
            "http://127.0.0.1:8080/jwks",
            "http://127.1.2.3/",
            "http://[::1]:8080/jwks",
            "http://localhost/jwks",
        ] {
            assert!(safe_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/jwks",
            "sso.example.com",
            "ftp://sso.example.com/",
            "file:///etc/keys.json",
            "http://sso.example.com/jwks",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "http://0.0.0.0/",
            "https://user:secret@sso.example.com/",
            "http://127.0.0.1@evil.example/",
            "https://",
        ] {
            assert_eq!(safe_url(bad).expect_err(bad), UnsafeUrl);
        }
    }
}
