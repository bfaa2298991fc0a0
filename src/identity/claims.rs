//! Claims of a token's payload. A claim that does not have its specified type makes the token
//! invalid.

use serde_json::{Map, Value};

use super::settings::ClaimPath;
use super::strict;
use crate::team::{KeyId, UserId};

/// The last second of the year 9999. Later times are mistakes and would overflow somewhere.
const LAST_SECOND: i64 = 253_402_300_799;

/// Claims of a token, verified or not.
pub(super) struct Claims(Value);

/// Validity of a token in whole seconds since 1970, fractions dropped (RFC 7519 section 2,
/// NumericDate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) exp: i64,
    pub(super) nbf: Option<i64>,
    pub(super) iat: Option<i64>,
}

impl Claims {
    /// Parses a payload: one JSON object without duplicate members.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        strict::object(payload).map(|members| Self(Value::Object(members)))
    }

    fn members(&self) -> Option<&Map<String, Value>> {
        self.0.as_object()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.members()?.get(name)
    }

    /// `iss`, if it is a string and not a list.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.get("iss")?.as_str()
    }

    /// Whether `aud`, a string or a list of strings, contains one of these audiences.
    pub(super) fn is_for(&self, audiences: &[String]) -> bool {
        let known = |name: &str| audiences.iter().any(|audience| audience == name);
        match self.get("aud") {
            Some(Value::String(name)) => known(name),
            Some(Value::Array(names)) => {
                names.iter().all(Value::is_string)
                    && names.iter().filter_map(Value::as_str).any(known)
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
                false
            }
        }
    }

    /// The value at a pointer, for error messages.
    pub(super) fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }

    /// The times; `None` when `exp` is missing or one of them is no plausible number.
    pub(super) fn times(&self) -> Option<Times> {
        let optional = |name| match self.get(name) {
            Some(value) => seconds(value).map(Some),
            None => Some(None),
        };
        Some(Times {
            exp: seconds(self.get("exp")?)?,
            nbf: optional("nbf")?,
            iat: optional("iat")?,
        })
    }

    /// The strings at a pointer: one, or those of a list; none for anything else.
    pub(super) fn strings(&self, path: &ClaimPath) -> impl Iterator<Item = &str> {
        let found = self.0.pointer(path.as_str());
        let list = found.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        found.into_iter().chain(list).filter_map(Value::as_str)
    }

    /// The user at a pointer: a valid user name that is not reserved for a gateway key without a
    /// user.
    pub(super) fn user(&self, path: &ClaimPath) -> Option<UserId> {
        let name = self.0.pointer(path.as_str())?.as_str()?;
        let names_a_key = name.strip_prefix("key:").and_then(KeyId::parse).is_some();
        if names_a_key { None } else { UserId::parse(name) }
    }
}

fn seconds(value: &Value) -> Option<i64> {
    let whole = match value.as_i64() {
        Some(whole) => whole,
        None => floor(value.as_f64()?)?,
    };
    (0..=LAST_SECOND).contains(&whole).then_some(whole)
}

/// `None` outside the range of times, so that the cast is exact.
#[allow(clippy::cast_possible_truncation)]
fn floor(number: f64) -> Option<i64> {
    (number.abs() < 1e15).then(|| number.floor() as i64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    fn claims(text: &str) -> Claims {
        Claims::read(text.as_bytes()).expect(text)
    }

    fn path(text: &str) -> ClaimPath {
        ClaimPath::parse(text).expect(text)
    }

    #[test]
    fn an_audience_is_a_string_or_a_list_of_strings() {
        let ours = ["moongate".to_owned(), "gw".to_owned()];
        for good in [r#""gw""#, r#"["gw"]"#, r#"["other","moongate"]"#] {
            assert!(claims(&format!(r#"{{"aud":{good}}}"#)).is_for(&ours), "{good}");
        }
        for bad in [
            r#""GW""#,
            r#""gw ""#,
            "[]",
            r#"["other"]"#,
            r#"["gw",1]"#,
            r#"[["gw"]]"#,
            r#"{"gw":1}"#,
            "null",
            "true",
        ] {
            assert!(!claims(&format!(r#"{{"aud":{bad}}}"#)).is_for(&ours), "{bad}");
        }
        assert!(!claims("{}").is_for(&ours));
    }

    #[test]
    fn a_time_is_a_plausible_number() {
        for (text, exp) in
            [("0", 0), ("1700000000", 1_700_000_000), ("1.7e9", 1_700_000_000), ("12.9", 12)]
        {
            assert_eq!(
                claims(&format!(r#"{{"exp":{text}}}"#)).times().map(|times| times.exp),
                Some(exp),
                "{text}"
            );
        }
        for bad in [
            "-1",
            "-0.5",
            "1e300",
            "253402300800",
            "18446744073709551615",
            "99999999999999999999",
            r#""1""#,
            "null",
            "[1]",
            "true",
            "{}",
        ] {
            assert_eq!(claims(&format!(r#"{{"exp":{bad}}}"#)).times(), None, "exp {bad}");
            assert_eq!(claims(&format!(r#"{{"exp":1,"nbf":{bad}}}"#)).times(), None, "nbf {bad}");
            assert_eq!(claims(&format!(r#"{{"exp":1,"iat":{bad}}}"#)).times(), None, "iat {bad}");
        }
        assert_eq!(claims("{}").times(), None);
        assert_eq!(
            claims(r#"{"exp":3,"iat":1}"#).times(),
            Some(Times { exp: 3, nbf: None, iat: Some(1) })
        );
    }

    #[test]
    fn a_claim_is_found_by_path_in_strings_and_lists() {
        let claims = claims(
            r#"{"groups":["a",1,"b"],"kubernetes.io":{"namespace":"render"},"a/b":"c","n":5}"#,
        );
        let strings = |text| claims.strings(&path(text)).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(strings("/groups"), ["a", "b"]);
        assert_eq!(strings("/kubernetes.io/namespace"), ["render"]);
        assert_eq!(strings("/a~1b"), ["c"]);
        assert!(
            ["/n", "/kubernetes.io", "/nothing", "/groups/7"]
                .into_iter()
                .all(|text| strings(text).is_empty())
        );
    }

    #[test]
    fn a_user_is_a_string_and_never_a_key() {
        for (text, user) in [
            (r#""ann""#, Some("ann")),
            (r#""key:me""#, Some("key:me")),
            (r#""key:k7Qp2mZr9aBc""#, None),
        ] {
            let claims = claims(&format!(r#"{{"sub":{text}}}"#));
            assert_eq!(claims.user(&path("/sub")).as_ref().map(UserId::as_str), user);
        }
        for bad in
            [r#""""#, "5", "null", r#"["ann"]"#, r#""a\nb""#, &format!("\"{}\"", "a".repeat(257))]
        {
            assert_eq!(claims(&format!(r#"{{"sub":{bad}}}"#)).user(&path("/sub")), None, "{bad}");
        }
    }
}
