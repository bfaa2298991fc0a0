//! The tripwire: if an answer holds a shared key, the key is blanked before anything leaves.

use bytes::Bytes;
use memchr::memmem;

use super::keys::KeyPool;

/// Blanks every shared key in a body. `None` when there is none in it, which is the rule.
pub fn blank(body: &Bytes, keys: &KeyPool) -> Option<Bytes> {
    let mut blanked: Option<Vec<u8>> = None;
    for key in keys.iter() {
        let secret = key.secret.expose().as_bytes();
        let places: Vec<usize> = memmem::find_iter(body, secret).collect();
        if secret.is_empty() || places.is_empty() {
            continue;
        }
        let body = blanked.get_or_insert_with(|| body.to_vec());
        for place in places {
            body[place..place + secret.len()].fill(b'*');
        }
    }
    blanked.map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::upstream::settings::KeySettings;

    #[test]
    fn a_key_in_an_answer_is_blanked_wherever_it_stands() {
        let key = KeySettings { name: "primary".to_owned(), secret: Secret::new("fm-secret"), weight: 1 };
        let pool = KeyPool::new(&[key], None).expect("a pool");
        let body = Bytes::from_static(b"{\"error\":\"key fm-secret is bad: fm-secret\"}");
        let blanked = blank(&body, &pool).expect("blanked");
        assert_eq!(blanked, "{\"error\":\"key ********* is bad: *********\"}");
        assert_eq!(blank(&Bytes::from_static(b"{}"), &pool), None);
    }
}
