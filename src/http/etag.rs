//! Entity tags: the name of a state of a page, and whether a caller has that state already (RFC
//! 9110, sections 8.8.3 and 13.1.2).

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

/// The tag of a body: another body has another, and every replica gives the same body the same.
#[must_use]
pub fn etag(body: &[u8]) -> HeaderValue {
    let digest: String =
        Sha256::digest(body).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let etag = HeaderValue::try_from(format!("\"{digest}\""));
    etag.unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Whether one of the tags that the caller has is this one; compared weakly, as is meant for GET.
#[must_use]
pub fn is_known(etag: &HeaderValue, request_headers: &HeaderMap) -> bool {
    request_headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|tag| {
            // Splits at commas: our own tags have none, so one that is cut in two is not ours.
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()
        })
}
