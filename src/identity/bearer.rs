//! Reads the credential from a request's headers: exactly one, in one of two headers.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use crate::http::{X_API_KEY, X_MOONGATE_TEAM};
use crate::team::TeamId;

/// Why no credential was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerFault {
    /// No credential: 401 `credential_missing`.
    Missing,
    /// Two credentials: 400 `invalid_request`. The gateway does not guess which one counts.
    Several,
    /// Cannot be a credential: 401 `credential_invalid`.
    Unreadable,
}

/// The credential of `Authorization: Bearer <credential>` (RFC 6750 section 2.1; the scheme in any
/// case, RFC 9110 section 11.1) or of `X-API-Key: <credential>`.
pub fn credential(headers: &HeaderMap) -> Result<&str, BearerFault> {
    let authorization = only(headers, &AUTHORIZATION)?;
    let api_key = only(headers, &X_API_KEY)?;
    let credential = match (authorization, api_key) {
        (None, None) => return Err(BearerFault::Missing),
        (Some(_), Some(_)) => return Err(BearerFault::Several),
        (Some(value), None) => after_scheme(value.as_bytes()).ok_or(BearerFault::Unreadable)?,
        (None, Some(value)) => value.as_bytes(),
    };
    readable(credential).ok_or(BearerFault::Unreadable)
}

/// The team that the caller chose with `X-Moongate-Team`.
///
/// # Errors
/// The header is not the name of one team: 400 `invalid_request`.
pub fn chosen_team(headers: &HeaderMap) -> Result<Option<TeamId>, BearerFault> {
    let Some(value) = only(headers, &X_MOONGATE_TEAM)? else { return Ok(None) };
    value.to_str().ok().and_then(TeamId::parse).map(Some).ok_or(BearerFault::Unreadable)
}

fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, BearerFault> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(BearerFault::Several) } else { Ok(first) }
}

fn after_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked("Bearer".len())?;
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    (scheme.eq_ignore_ascii_case(b"Bearer") && spaces > 0).then(|| rest.get(spaces..)).flatten()
}

/// The credential as text. Its length was already bounded by `limits.header_bytes_max`.
fn readable(bytes: &[u8]) -> Option<&str> {
    // No `&&`, so that the compiler can vectorize.
    let is_graphic = bytes.iter().fold(true, |all, byte| all & byte.is_ascii_graphic());
    if !bytes.is_empty() && is_graphic { str::from_utf8(bytes).ok() } else { None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    fn taken(headers: &[(&str, &[u8])]) -> Result<String, BearerFault> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("name");
            map.append(name, HeaderValue::from_bytes(value).expect("value"));
        }
        credential(&map).map(str::to_owned)
    }

    #[test]
    fn a_credential_may_stand_in_either_header() {
        for headers in [
            [("authorization", b"Bearer abc.DEF-1_2~+/=".as_slice())],
            [("Authorization", b"bearer abc.DEF-1_2~+/=")],
            [("authorization", b"bEARER   abc.DEF-1_2~+/=")],
            [("x-api-key", b"abc.DEF-1_2~+/=")],
        ] {
            assert_eq!(taken(&headers).as_deref(), Ok("abc.DEF-1_2~+/="));
        }
    }

    #[test]
    fn a_team_is_chosen_by_one_header_that_names_one() {
        let chosen = |values: &[&[u8]]| {
            let mut map = HeaderMap::new();
            for value in values {
                map.append(X_MOONGATE_TEAM, HeaderValue::from_bytes(value).expect("value"));
            }
            chosen_team(&map).map(|team| team.map(|team| team.as_str().to_owned()))
        };
        assert_eq!(chosen(&[]), Ok(None));
        assert_eq!(chosen(&[b"design"]), Ok(Some("design".to_owned())));
        assert_eq!(chosen(&[b"design", b"design"]), Err(BearerFault::Several));
        for bad in [&b""[..], b"design, growth", b" ", b"-x", b"\xe9", &[b'a'; 65]] {
            assert_eq!(chosen(&[bad]), Err(BearerFault::Unreadable), "{bad:?}");
        }
    }

    #[test]
    fn two_credentials_are_a_malformed_request_even_when_equal() {
        for headers in [
            [("authorization", b"Bearer a".as_slice()), ("authorization", b"Bearer a")],
            [("x-api-key", b"a"), ("x-api-key", b"a")],
            [("authorization", b"Bearer a"), ("x-api-key", b"a")],
            [("authorization", b""), ("x-api-key", b"a")],
        ] {
            assert_eq!(taken(&headers), Err(BearerFault::Several));
        }
    }

    #[test]
    fn no_credential_is_told_from_one_that_cannot_be_read() {
        assert_eq!(taken(&[]), Err(BearerFault::Missing));
        assert_eq!(taken(&[("cookie", b"authorization=Bearer a")]), Err(BearerFault::Missing));
        for value in [
            b"".as_slice(),
            b"Bearer",
            b"Bearer ",
            b"Bearera",
            b"Bearer\ta",
            b"Basic dXNlcjpwYXNz",
            b"Bearer a b",
            b"Bearer a\t",
            b"Bearer a, Bearer b",
            b"Bearer \xc3\xa9",
            b"abc",
        ] {
            assert_eq!(
                taken(&[("authorization", value)]),
                Err(BearerFault::Unreadable),
                "{value:?}"
            );
        }
        for value in [b"".as_slice(), b"a b", b"Bearer a", b"\xff"] {
            assert_eq!(taken(&[("x-api-key", value)]), Err(BearerFault::Unreadable), "{value:?}");
        }
    }
}
