//! Headers common to all calls to the upstream: built once for each host, then copied.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT,
};
use http::{HeaderMap, HeaderValue};

use crate::http::{TRACEPARENT, X_REQUEST_ID};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("moongate/", env!("CARGO_PKG_VERSION")));
const OF_THE_CALL: HeaderValue = HeaderValue::from_static("-");

/// Headers of every call to a host, with placeholders for those of the call itself. Copying them
/// costs half of building them, since setting a placeholder neither searches nor allocates. The
/// copy has no room for more.
pub(super) fn head(host: &HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([
        (HOST, host.clone()),
        (AUTHORIZATION, OF_THE_CALL),
        (CONTENT_TYPE, JSON),
        (ACCEPT, JSON),
        (ACCEPT_ENCODING, IDENTITY),
        (USER_AGENT, AGENT),
        (X_REQUEST_ID, OF_THE_CALL),
        (TRACEPARENT, OF_THE_CALL),
        (CONTENT_LENGTH, OF_THE_CALL),
    ])
}
