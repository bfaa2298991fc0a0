//! Tripwire: if an answer contains a shared key, the key is blanked before the answer goes out.

use bytes::Bytes;
use http::HeaderMap;

use super::keys::KeyPool;

/// Blanks every shared key in a body. `None` when there is none, as usual.
pub fn blank(body: &Bytes, keys: &KeyPool) -> Option<Bytes> {
    let mut blanked: Option<Vec<u8>> = None;
    for key in keys.iter() {
        let places: Vec<usize> = key.tripwire.find_iter(body).collect();
        if places.is_empty() {
            continue;
        }
        let body = blanked.get_or_insert_with(|| body.to_vec());
        for place in places {
            body[place..place + key.tripwire.needle().len()].fill(b'*');
        }
    }
    blanked.map(Bytes::from)
}

/// Removes headers that contain a shared key from an answer. Returns whether there was one.
pub fn drop_headers(headers: &mut HeaderMap, keys: &KeyPool) -> bool {
    let holds = |value: &[u8]| keys.iter().any(|key| key.tripwire.find(value).is_some());
    let found: Vec<_> = headers
        .iter()
        .filter(|(_, value)| holds(value.as_bytes()))
        .map(|(name, _)| name.clone())
        .collect();
    for name in &found {
        headers.remove(name);
    }
    !found.is_empty()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::permits::Allowance;
    use crate::secret::Secret;
    use crate::upstream::settings::KeySettings;

    #[test]
    fn a_key_in_an_answer_is_blanked_wherever_it_stands() {
        let pool = pool();
        let body = Bytes::from_static(b"{\"error\":\"key fm-secret is bad: fm-secret\"}");
        let blanked = blank(&body, &pool).expect("blanked");
        assert_eq!(blanked, "{\"error\":\"key ********* is bad: *********\"}");
        assert_eq!(blank(&Bytes::from_static(b"{}"), &pool), None);
    }

    fn pool() -> KeyPool {
        let key = KeySettings {
            name: "primary".to_owned(),
            secret: Secret::new("fm-secret"),
            weight: 1,
            limits: Allowance::default(),
        };
        KeyPool::new(&[key], None).expect("a pool")
    }

    #[test]
    fn a_header_that_holds_a_key_is_dropped_alone() {
        let mut headers = HeaderMap::new();
        headers
            .insert("content-type", HeaderValue::from_static("application/json; caller=fm-secret"));
        headers.insert("content-encoding", HeaderValue::from_static("identity"));
        assert!(drop_headers(&mut headers, &pool()));
        assert_eq!(
            headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(),
            ["content-encoding"]
        );
        assert!(!drop_headers(&mut headers, &pool()));
    }
}
