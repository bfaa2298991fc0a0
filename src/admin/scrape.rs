//! `GET /metrics`: negotiates the format and the compression.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderName, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::call::page;
use crate::http::Answer;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Format;

/// Renders all metrics in a format and coding that the client accepts. Takes milliseconds for
/// thousands of series.
pub(super) fn answer(metrics: &Metrics, headers: &HeaderMap) -> Answer {
    let older = weight(headers, &ACCEPT, "text/plain").or(weight(headers, &ACCEPT, "*/*"));
    let format = match weight(headers, &ACCEPT, "application/openmetrics-text") {
        Some(newer) if newer > 0 && newer >= older.unwrap_or(0) => Format::OpenMetrics,
        Some(_) | None => Format::Text,
    };
    let text = metrics.render(format);
    let zipped = weight(headers, &ACCEPT_ENCODING, "gzip").is_some_and(|weight| weight > 0);
    let zipped = zipped.then(|| gzip(&text)).flatten();
    let is_zipped = zipped.is_some();
    let mut answer = page(StatusCode::OK, format.content_type(), zipped.unwrap_or(text));
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    if is_zipped {
        answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// Compresses fast: repeated labels shrink to a tenth even so.
fn gzip(text: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).and_then(|()| encoder.finish()).ok()
}

/// Weight of a type or coding in thousandths (RFC 9110, 12.4.2); `None` if it is not named. Of
/// several versions of one type, the highest weight counts.
fn weight(headers: &HeaderMap, header: &HeaderName, wanted: &str) -> Option<u16> {
    let values = headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    let items = values.flat_map(|value| value.split(','));
    let weights = items.filter_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next()?.eq_ignore_ascii_case(wanted);
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        named.then(|| weight.map_or(1000, thousandths))
    });
    weights.max()
}

/// Parses `0`, `1` or a fraction of at most three digits; anything else weighs nothing.
fn thousandths(text: &str) -> u16 {
    match text.split_once('.').unwrap_or((text, "")) {
        ("1", _) => 1000,
        ("0", digits) if digits.len() <= 3 => format!("{digits:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_most_is_found_among_types_and_versions() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
                          application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let open = "application/openmetrics-text";
        for (accept, wanted, weighs) in [
            (prometheus, open, Some(1000)),
            (prometheus, "text/plain", Some(500)),
            ("*/*", open, None),
            ("text/plain;q=1.0, APPLICATION/OpenMetrics-Text; q=0.25", open, Some(250)),
            ("application/openmetrics-text;q=0", open, Some(0)),
            ("application/openmetrics-text;q=2", open, Some(0)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().expect("a header"));
            assert_eq!(weight(&headers, &ACCEPT, wanted), weighs, "{accept}: {wanted}");
        }
    }
}
