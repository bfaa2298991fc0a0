//! Security headers of a page, which allow the browser only what the page needs.

use http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Scripts, styles and calls are limited to this origin. Pictures and videos may come from any
/// HTTPS address that an answer names, or from the answer itself. No script may turn text into
/// elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data: https:; media-src data: https:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types 'none'";

/// The same policy for one machine, where the simulator serves pictures beside the gateway.
const POLICY_ON_LOOPBACK: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data: https: http://127.0.0.1:* http://localhost:*; \
    media-src data: https: http://127.0.0.1:* http://localhost:*; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types 'none'";

const OTHERS: [(HeaderName, HeaderValue); 6] = [
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "accelerometer=(), autoplay=(), camera=(), display-capture=(), fullscreen=(self), \
             geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), \
             usb=()",
        ),
    ),
];

/// Adds them to a page that was requested under this host name.
pub(super) fn add(headers: &mut HeaderMap, host: &str) {
    let policy = if is_this_machine(host) { POLICY_ON_LOOPBACK } else { POLICY };
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.extend(OTHERS);
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host == "127.0.0.1" || host == "[::1]"
}
