//! Requests to the upstream that cost nothing: the catalogue, the balance, the breaker's probe.

use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};
use http_body_util::Full;

use super::Origin;

/// A GET of this path below the origin's prefix, without a key.
///
/// # Errors
/// The path is not valid.
pub fn get(origin: &Origin, path: &str) -> http::Result<Request<Full<Bytes>>> {
    Request::get([&origin.prefix, path].concat())
        .header(ACCEPT, "application/json")
        .header(ACCEPT_ENCODING, "identity")
        .header(USER_AGENT, concat!("moongate/", env!("CARGO_PKG_VERSION")))
        .body(Full::default())
}
