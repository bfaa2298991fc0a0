//! Reads the account's balance from the upstream with one key. The answer's shape is not
//! documented, so a configured pointer says where the balance is.

use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::Value;

use crate::credits::Credits;
use crate::upstream::keys::Key;
use crate::upstream::{Upstream, UpstreamClient, unpaid};

/// Why a balance was not read. The texts are for the log and quote nothing of the answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Unread {
    #[error("the upstream did not answer: {0}")]
    NoAnswer(String),
    #[error("the upstream answered {0}")]
    Refused(StatusCode),
    #[error("the answer has no balance at upstream.reconcile.balance_pointer")]
    NotThere,
}

/// The balance of a key's account.
pub(super) async fn balance(
    client: &UpstreamClient,
    upstream: &Upstream,
    key: &Key,
    pointer: &str,
) -> Result<Credits, Unread> {
    let request = unpaid::get(&upstream.origin, "/credits/balance");
    let mut request = request.map_err(|error| Unread::NoAnswer(error.to_string()))?;
    request.headers_mut().insert(AUTHORIZATION, key.authorization.clone());
    let received = client.ask(&upstream.origin, request, upstream.bounds).await;
    let received = received.map_err(|failed| Unread::NoAnswer(failed.to_string()))?;
    match received.head.status {
        StatusCode::OK => read(&received.body, pointer).ok_or(Unread::NotThere),
        status => Err(Unread::Refused(status)),
    }
}

/// A number, or a decimal in quotes. A negative balance becomes zero; digits beyond a millionth are
/// cut off.
fn read(body: &[u8], pointer: &str) -> Option<Credits> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let text = match answer.pointer(pointer)? {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.get(..6).unwrap_or(fraction);
    if let Some(below) = whole.strip_prefix('-') {
        return below.parse::<u64>().ok().map(|_| Credits::ZERO);
    }
    if fraction.is_empty() {
        whole.parse().ok()
    } else {
        format!("{whole}.{fraction}").parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_found_where_the_pointer_leads() {
        let found =
            |body: &str, pointer| read(body.as_bytes(), pointer).map(|credits| credits.to_string());
        assert_eq!(found(r#"{"balance":99.975}"#, "/balance").as_deref(), Some("99.975"));
        assert_eq!(
            found(r#"{"credits":{"balance":"12"}}"#, "/credits/balance").as_deref(),
            Some("12")
        );
        assert_eq!(found(r#"{"balance":0.12345678}"#, "/balance").as_deref(), Some("0.123456"));
        assert_eq!(found(r#"{"balance":-3.5}"#, "/balance").as_deref(), Some("0"));
        for (body, pointer) in [
            ("<html>", "/balance"),
            (r#"{"balance":null}"#, "/balance"),
            (r#"{"balance":"much"}"#, "/balance"),
            (r#"{"balance":1}"#, "/other"),
        ] {
            assert_eq!(found(body, pointer), None, "{body}");
        }
    }
}
