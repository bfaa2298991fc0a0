//! What every call to the upstream says in its headers: made once for each host, and copied.

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue};

use crate::http::{TRACEPARENT, X_REQUEST_ID};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("moongate/", env!("CARGO_PKG_VERSION")));
const OF_THE_CALL: HeaderValue = HeaderValue::from_static("-");

/// What every call to a host says in its headers, with the places of those that are the call's own: to copy it costs
/// half of building it, since a header put into its place neither searches for one nor makes room. The copy has no room
/// for more.
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
