//! Checks of a request's head that hyper does not make.
//!
//! hyper is more lenient than a gateway may be: it accepts a missing or doubled `Host`, an odd
//! `Transfer-Encoding`, and headers of any size within its buffer.

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Version};

use crate::refusal::Refusal;

/// hyper allows 100 over HTTP/1 and answers more with a bare 431; our bound is lower and has an
/// answer of its own. Setting a bound in hyper costs every request two heap allocations.
const HEADERS_MAX: usize = 96;
const TARGET_BYTES_MAX: usize = 8 * 1024;

/// Checks the head of a request.
///
/// # Errors
/// `invalid_request` with every problem found; `headers_too_large`; `invalid_path` for a target
/// that is too long.
pub fn check(head: &Parts, all_headers_bytes_max: usize) -> Result<(), Refusal> {
    sizes(&head.headers, all_headers_bytes_max)?;
    if head.uri.path().len() + head.uri.query().map_or(0, str::len) > TARGET_BYTES_MAX {
        return Err(Refusal::InvalidPath);
    }
    let mut problems = Vec::new();
    if !matches!(head.version, Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2) {
        problems.push("the version of HTTP is not spoken here");
    }
    host(head, &mut problems);
    length(head, &mut problems);
    if head
        .headers
        .get(EXPECT)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        problems.push("Expect may only be 100-continue");
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Refusal::InvalidRequest(problems.into_iter().map(str::to_owned).collect()))
}

fn sizes(headers: &HeaderMap, all_bytes_max: usize) -> Result<(), Refusal> {
    let mut all = 0;
    for (name, value) in headers {
        // One header may use up the whole bound: a token that lists hundreds of groups is larger
        // than everything else together.
        all += name.as_str().len() + value.len();
    }
    if headers.len() > HEADERS_MAX || all > all_bytes_max {
        Err(Refusal::HeadersTooLarge)
    } else {
        Ok(())
    }
}

/// RFC 9112, 3.2: exactly one valid `Host`; RFC 9113, 8.3.1: `:authority`, equal to `Host` when
/// both are present.
fn host(head: &Parts, problems: &mut Vec<&'static str>) {
    let host = match only(&head.headers, &HOST) {
        Ok(host) => host,
        Err(Several) => return problems.push("Host is given twice"),
    };
    let host = host.map(|value| std::str::from_utf8(value).unwrap_or_default());
    match (head.version == Version::HTTP_2, head.uri.authority(), host) {
        (true, Some(authority), None) if is_host(authority.as_str()) => {}
        (true, Some(authority), Some(host))
            if is_host(host) && authority.as_str().eq_ignore_ascii_case(host) => {}
        (true, Some(_), Some(_)) => problems.push(":authority and Host differ"),
        (true, None, Some(host)) if is_host(host) => {}
        (false, Some(_), _) => problems.push("the request target must be a path"),
        (false, None, Some(host)) if is_host(host) => {}
        (_, _, None) => problems.push("Host is missing"),
        (_, _, Some(_)) => problems.push("Host is not a host and port"),
    }
}

/// A host and an optional port; no user, path or list.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && !text.bytes().any(|byte| b"@/,#?\\ ".contains(&byte))
        && text.parse::<Authority>().is_ok_and(|authority| {
            let after_host = &text[authority.host().len()..];
            after_host.is_empty() || (after_host.len() > 1 && authority.port_u16().is_some())
        })
}

/// RFC 9112, 6.3: one length, given once. hyper has already refused an invalid length; of a request
/// with both a length and chunks it reads the chunks and then closes the connection (RFC 9112,
/// 6.1).
fn length(head: &Parts, problems: &mut Vec<&'static str>) {
    let length = only(&head.headers, &CONTENT_LENGTH);
    let coding = only(&head.headers, &TRANSFER_ENCODING);
    match (length, coding) {
        (Err(Several), _) | (_, Err(Several)) => {
            problems.push("the length of the body is given twice")
        }
        (Ok(_), Ok(Some(coding))) if coding != b"chunked" => {
            problems.push("Transfer-Encoding may only be chunked")
        }
        (Ok(_), Ok(_)) => {}
    }
}

struct Several;

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Several> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(Several) } else { Ok(first.map(http::HeaderValue::as_bytes)) }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(uri: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).expect("a request").into_parts().0, 64 * 1024)
    }

    #[test]
    fn exactly_one_valid_host_is_needed() {
        assert_eq!(checked("/", &[("host", "gateway:8080")]), Ok(()));
        assert_eq!(checked("/", &[("host", "[::1]:8080")]), Ok(()));
        for bad in ["", "a,b", "user@h", "h/path", "h:99999", "h:4000/#@x", "h:", "a b", "h:x"] {
            assert!(checked("/", &[("host", bad)]).is_err(), "{bad}");
        }
        assert!(checked("/", &[]).is_err());
        assert!(checked("/", &[("host", "a"), ("host", "a")]).is_err());
        assert!(checked("http://a/", &[("host", "a")]).is_err());
    }

    #[test]
    fn the_length_of_a_body_is_told_once_and_plainly() {
        let with = |headers: &[(&str, &str)]| {
            let mut all = vec![("host", "a")];
            all.extend_from_slice(headers);
            checked("/", &all)
        };
        assert_eq!(with(&[("content-length", "5")]), Ok(()));
        assert_eq!(with(&[("transfer-encoding", "chunked")]), Ok(()));
        for bad in
            ["cow, chunked", ", chunked", "chunked, chunked", "\"chunked\"", "identity", "Chunked"]
        {
            assert!(with(&[("transfer-encoding", bad)]).is_err(), "{bad}");
        }
        assert!(
            with(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]).is_err()
        );
        assert!(with(&[("content-length", "5"), ("content-length", "5")]).is_err());
        assert!(with(&[("expect", "200-ok")]).is_err());
    }

    #[test]
    fn headers_are_bounded_together_and_not_one_by_one() {
        let bytes_max = 64 * 1024;
        let large = "x".repeat(bytes_max - "host".len() - "a".len() - "x".len());
        assert_eq!(checked("/", &[("host", "a"), ("x", &large)]), Ok(()));
        assert_eq!(checked("/", &[("host", "ab"), ("x", &large)]), Err(Refusal::HeadersTooLarge));
        let part = "x".repeat(bytes_max / 8);
        let many: Vec<(&str, &str)> = (0..8).map(|_| ("x", part.as_str())).collect();
        assert_eq!(checked("/", &many), Err(Refusal::HeadersTooLarge));
    }
}
